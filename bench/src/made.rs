//! Lines of sources that `linchpin generate` does not write: fresh numbers, ids and names in each, and
//! several shapes, as in reality.

use fastrand::Rng;

const HOSTS: &[&str] = &["ws-014", "ws-115", "srv-db-02", "srv-web-07", "dc-01"];
const USERS: &[&str] = &["anna.meier", "j.okafor", "li.wei", "svc_backup", "m.rossi", "t.svensson"];
const COUNTRIES: &[&str] = &["Reserved", "Germany", "United States", "Japan", "Brazil"];

fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    from[random.usize(..from.len())]
}

fn inside(random: &mut Rng) -> String {
    format!("10.{}.{}.{}", random.u8(..), random.u8(..), random.u8(1..))
}

fn outside(random: &mut Rng) -> String {
    format!("203.0.113.{}", random.u8(1..))
}

fn token(random: &mut Rng, length: usize) -> String {
    (0..length).map(|_| random.alphanumeric()).collect()
}

/// A connection of Zeek's `conn.log`, as JSON.
pub fn zeek(random: &mut Rng) -> String {
    let closed = random.u8(..8) > 0;
    let state = if closed { pick(random, &["SF", "S1", "RSTO", "SHR"]) } else { "REJ" };
    let mut line = format!(
        "{{\"ts\":{}.{:06},\"uid\":\"C{}\",\"id.orig_h\":\"{}\",\"id.orig_p\":{},\"id.resp_h\":\"{}\",\"id.resp_p\":{},\"proto\":\"{}\"",
        1_767_225_600 + random.u32(..86_400),
        random.u32(..1_000_000),
        token(random, 17),
        inside(random),
        random.u16(1024..),
        outside(random),
        [443, 80, 53, 22, 8443][random.usize(..5)],
        if random.u8(..10) == 0 { "udp" } else { "tcp" },
    );
    if closed {
        line += &format!(
            ",\"service\":\"{}\",\"duration\":{}.{:06},\"orig_bytes\":{},\"resp_bytes\":{}",
            pick(random, &["ssl", "http", "dns"]),
            random.u8(..60),
            random.u32(..1_000_000),
            random.u32(..90_000),
            random.u32(..9_000_000)
        );
    }
    line + &format!(
        ",\"conn_state\":\"{state}\",\"local_orig\":true,\"local_resp\":false,\"missed_bytes\":0,\"history\":\"{}\",\
         \"orig_pkts\":{},\"orig_ip_bytes\":{},\"resp_pkts\":{},\"resp_ip_bytes\":{}}}",
        pick(random, &["ShADadFf", "ShADad", "Sr", "Dd", "ShADadtfFr"]),
        random.u16(1..),
        random.u32(40..),
        random.u16(..),
        random.u32(..)
    )
}

/// A session of a `FortiGate` firewall.
pub fn fortigate(random: &mut Rng) -> String {
    let denied = random.u8(..6) == 0;
    let (second, port) = (random.u32(..86_400), random.u16(1024..));
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    let mut line = format!(
        "date=2026-01-01 time={time} devname=\"fw-{:02}\" devid=\"FGT60E{:010}\" logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" \
         level=\"notice\" vd=\"root\" eventtime={}{:09} tz=\"+0100\" srcip={} srcport={port} srcintf=\"port{}\" srcintfrole=\"lan\" \
         dstip={} dstport={} dstintf=\"wan1\" dstintfrole=\"wan\" sessionid={} proto=6 action=\"{}\" policyid={} policytype=\"policy\" \
         poluuid=\"{:08x}-1c2d-51ea-9f0a-{:012x}\" service=\"HTTPS\" dstcountry=\"{}\" srccountry=\"Reserved\"",
        random.u8(1..20),
        random.u32(..),
        1_767_222_000 + second,
        random.u32(..1_000_000_000),
        inside(random),
        random.u8(1..9),
        outside(random),
        if denied { 3389 } else { 443 },
        random.u32(..),
        if denied { "deny" } else { "close" },
        random.u16(1..400),
        random.u32(..),
        random.u64(..1 << 48),
        pick(random, COUNTRIES),
    );
    if denied {
        line += " trandisp=\"noop\" duration=0 sentbyte=0 rcvdbyte=0 sentpkt=0 crscore=30 craction=131072 crlevel=\"high\"";
    } else {
        line += &format!(
            " user=\"{}\" trandisp=\"snat\" transip=198.51.100.7 transport={port} duration={} sentbyte={} rcvdbyte={} sentpkt={} rcvdpkt={} \
             appcat=\"unscanned\"",
            pick(random, USERS),
            random.u16(..600),
            random.u32(..1_000_000),
            random.u32(..),
            random.u16(..),
            random.u16(..)
        );
    }
    line
}

/// A sign-in or the start of a process, as Windows renders its events.
pub fn windows(random: &mut Rng) -> String {
    let (host, user) = (pick(random, HOSTS), pick(random, USERS));
    let second = random.u32(..86_400);
    let system = |id: u32, task: u32, random: &mut Rng| {
        format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Security-Auditing' \
             Guid='{{54849625-5478-4994-a5ba-3e3b0328c30d}}'/><EventID>{id}</EventID><Version>2</Version><Level>0</Level><Task>{task}</Task>\
             <Opcode>0</Opcode><Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2026-01-01T{:02}:{:02}:{:02}.{:07}Z'/>\
             <EventRecordID>{}</EventRecordID><Correlation/><Execution ProcessID='{}' ThreadID='{}'/><Channel>Security</Channel>\
             <Computer>{host}.corp.example.com</Computer><Security/></System><EventData>",
            second / 3600,
            second / 60 % 60,
            second % 60,
            random.u32(..10_000_000),
            random.u32(..),
            random.u16(..),
            random.u16(..)
        )
    };
    let sid = format!("S-1-5-21-1111111111-2222222222-3333333333-{}", random.u16(1000..));
    let logon = random.u32(..);
    let (mut line, data) = if random.bool() {
        let data = vec![
            ("SubjectUserSid", "S-1-5-18".to_owned()),
            ("SubjectUserName", format!("{}$", host.to_uppercase())),
            ("SubjectDomainName", "CORP".to_owned()),
            ("SubjectLogonId", "0x3e7".to_owned()),
            ("TargetUserSid", sid),
            ("TargetUserName", user.to_owned()),
            ("TargetDomainName", "CORP".to_owned()),
            ("TargetLogonId", format!("{logon:#x}")),
            ("LogonType", pick(random, &["2", "3", "10"]).to_owned()),
            ("LogonProcessName", "User32 ".to_owned()),
            ("AuthenticationPackageName", "Negotiate".to_owned()),
            ("WorkstationName", host.to_uppercase()),
            ("ProcessId", format!("{:#x}", random.u16(..))),
            ("ProcessName", "C:\\Windows\\System32\\svchost.exe".to_owned()),
            ("IpAddress", inside(random)),
            ("IpPort", random.u16(1024..).to_string()),
        ];
        (system(4624, 12544, random), data)
    } else {
        let data = vec![
            ("SubjectUserSid", sid),
            ("SubjectUserName", user.to_owned()),
            ("SubjectDomainName", "CORP".to_owned()),
            ("SubjectLogonId", format!("{logon:#x}")),
            ("NewProcessId", format!("{:#x}", random.u16(..))),
            ("NewProcessName", format!("C:\\Program Files\\Example\\{}.exe", token(random, 8))),
            ("TokenElevationType", "%%1938".to_owned()),
            ("ProcessId", format!("{:#x}", random.u16(..))),
            (
                "CommandLine",
                format!("example.exe --job {} --out C:\\Temp\\{}", token(random, 12), token(random, 6)),
            ),
            ("ParentProcessName", "C:\\Windows\\explorer.exe".to_owned()),
        ];
        (system(4688, 13312, random), data)
    };
    for (name, value) in data {
        line += &format!("<Data Name='{name}'>{value}</Data>");
    }
    line + "</EventData></Event>"
}
