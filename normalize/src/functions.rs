//! The named functions of mappings: what `when`, `set`, `map` and lookups cannot say.
//!
//! A function is one row of [`FUNCTIONS`] with its doc line and an example that is its test. It
//! gives a value, nothing (the next alternative is tried), or a fault (the field is quarantined).

#![allow(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "the functions of the table have one type"
)]

mod aws;
mod azure;
mod linux;
mod parts;
mod verbs;
mod web;

use std::{borrow::Cow, net::IpAddr};

use crate::value::{Fault, Val, rfc3339};

/// What a function gives.
pub type Outcome<'e> = Result<Option<Val<'e>>, Fault>;

/// A named function.
pub struct Function {
    /// Name in mappings.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// An input and what comes out of it, as text.
    pub example: (&'static str, &'static str),
    /// The function.
    pub apply: for<'e> fn(Val<'e>) -> Outcome<'e>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Finds a function by name.
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

macro_rules! functions {
    ($($name:literal $doc:literal $input:literal => $output:literal, $apply:expr;)*) => {
        /// Every function.
        pub const FUNCTIONS: &[Function] = &[
            $(Function { name: $name, doc: $doc, example: ($input, $output), apply: $apply },)*
        ];
    };
}

functions! {
    "url_decode" "`%2F` and its like as the characters they stand for" "cloudaudit.googleapis.com%2Factivity" => "cloudaudit.googleapis.com/activity", |v| text(v, |t| Some(url_decode(t)));
    "gcp_project" "project in the name of a Google Cloud resource or log" "projects/prod/logs/dns" => "prod", |v| text(v, |t| segment(t, "projects/"));
    "gcp_organization" "organisation in the name of a Google Cloud resource or log" "organizations/123/logs/dns" => "123", |v| text(v, |t| segment(t, "organizations/"));
    "gcp_region" "region of a Google Cloud zone; a region stays as it is" "europe-west1-b" => "europe-west1", |v| text(v, |t| Some(gcp_region(t)));
    "gcp_service_account_project" "project of a service account that a user made; nothing for others" "ci@prod.iam.gserviceaccount.com" => "prod", |v| text(v, |t| service_account_project(t));
    "gcp_principal_type" "kind of a Google Cloud or GKE principal: User, Service, System, Group" "serviceAccount:ci@prod.iam.gserviceaccount.com" => "Service", gcp_principal_type;
    "rfc3339" "moment in RFC 3339; without a zone it is UTC" "1970-01-01T00:00:01Z" => "1000000", moment;
    "unix_seconds" "moment in seconds since 1970, fractions allowed" "1.5" => "1500000", |v| unix(&v, 1_000_000);
    "unix_millis" "moment in milliseconds since 1970" "1500" => "1500000", |v| unix(&v, 1000);
    "unix_micros" "moment in microseconds since 1970" "1500000" => "1500000", |v| unix(&v, 1);
    "unix_any" "moment in seconds, milliseconds, microseconds or nanoseconds since 1970, by its size" "1557513467369913239" => "1557513467369913", |v| unix_any(&v);
    "ip" "address, also out of `address:port`, `[address]:port` and `::ffff:address`; nothing if it is none" "[2001:db8::1]:443" => "2001:db8::1", ip;
    "not_ip" "text that is not an address, such as a service's host name" "s3.amazonaws.com" => "s3.amazonaws.com", not_ip;
    "port_of" "port out of `address:port`" "192.0.2.1:443" => "443", port_of;
    "lower" "lower case" "AbC" => "abc", |v| text(v, |t| Some(map(t, str::to_lowercase)));
    "upper" "upper case" "abC" => "ABC", |v| text(v, |t| Some(map(t, str::to_uppercase)));
    "after_slash" "what follows the last `/`" "a/b/c" => "c", |v| text(v, |t| Some(after(t, '/')));
    "before_slash" "what stands before the first `/`; nothing without one" "roles/owner" => "roles", |v| text(v, |t| before(t, '/'));
    "after_dot" "what follows the last `.`" "v1.compute.instances.insert" => "insert", |v| text(v, |t| Some(after(t, '.')));
    "before_dot" "what stands before the first `.`" "iam.amazonaws.com" => "iam", |v| text(v, |t| before(t, '.'));
    "after_colon" "what follows the last `:`" "user:ann@example.com" => "ann@example.com", |v| text(v, |t| Some(after(t, ':')));
    "before_colon" "what stands before the first `:`; nothing without one" "user:ann@example.com" => "user", |v| text(v, |t| before(t, ':'));
    "after_at" "domain of an email address; nothing without `@`" "ann@example.com" => "example.com", |v| text(v, |t| t.contains('@').then(|| after(t, '@')));
    "api_activity" "Create, Read, Update or Delete, by the verb an API operation starts with; else Other" "DescribeInstances" => "Read", verbs::api_activity;
    "arn_account" "account of an ARN; nothing where the ARN has none" "arn:aws:iam::111122223333:user/ann" => "111122223333", |v| arn(v, 4);
    "arn_region" "region of an ARN; nothing where the ARN has none" "arn:aws:ec2:eu-west-1:111122223333:vpc/v" => "eu-west-1", |v| arn(v, 3);
    "arn_service" "service of an ARN" "arn:aws:iam::111122223333:user/ann" => "iam", |v| arn(v, 2);
    "arn_resource" "resource of an ARN: what follows the account" "arn:aws:iam::111122223333:user/ann" => "user/ann", |v| arn(v, 5);
    "azure_subscription" "subscription of an Azure resource id, in lower case; nothing if it has none" "/SUBSCRIPTIONS/0A-1B/RESOURCEGROUPS/RG" => "0a-1b", |v| azure::id_part(v, "subscriptions");
    "azure_group" "resource group of an Azure resource id, in lower case" "/subscriptions/0a/resourceGroups/Shop" => "shop", |v| azure::id_part(v, "resourcegroups");
    "azure_standard" "regulatory standard that an Azure compliance id belongs to, in lower case" "/subscriptions/0a/providers/Microsoft.Security/regulatoryComplianceStandards/PCI-DSS-4" => "pci-dss-4", |v| azure::id_part(v, "regulatorycompliancestandards");
    "azure_type" "type of an Azure resource id, in lower case" "/subscriptions/0a/providers/Microsoft.Sql/servers/s1/databases/d" => "microsoft.sql/servers/databases", azure::resource_type;
    "azure_verb" "verb of an Azure operation name" "Microsoft.Storage/storageAccounts/listKeys/action" => "listKeys", azure::verb;
    "json_principal_id" "`principalId` in JSON kept as text, at any depth" "{\"Properties\":{\"PrincipalId\":\"p-1\"}}" => "p-1", |v| azure::json_member(&v, "principalId");
    "json_principal_type" "`principalType` in JSON kept as text, at any depth" "{\"properties\":{\"principalType\":\"Group\"}}" => "Group", |v| azure::json_member(&v, "principalType");
    "json_role_id" "`roleDefinitionId` in JSON kept as text, at any depth" "{\"roleDefinitionId\":\"r-1\"}" => "r-1", |v| azure::json_member(&v, "roleDefinitionId");
    "json_code" "`code` in JSON kept as text, at any depth, such as that of an error" "{\"error\":{\"code\":\"Conflict\"}}" => "Conflict", |v| azure::json_member(&v, "code");
    "json_message" "`message` in JSON kept as text, at any depth" "{\"error\":{\"message\":\"no\"}}" => "no", |v| azure::json_member(&v, "message");
    "first_word" "what stands before the first space; all of it without one" "Windows 10" => "Windows", |v| text(v, |t| { let end = t.find(' ').unwrap_or(t.len()); Some(part(t, 0, end)) });
    "json_text" "text of a JSON string kept as text, or of the first in such a list" "[\"Sales\"]" => "Sales", azure::json_text;
    "camel_tail" "what follows the first word of a name in camel case" "SecretListVersions" => "ListVersions", azure::camel_tail;
    "us_datetime" "moment in US notation, UTC unless it says otherwise" "1/1/1970 12:00:01 AM" => "1000000", azure::us_datetime;
    "mac" "hardware address with colons, in lower case; nothing if it is none" "000D3AF87856" => "00:0d:3a:f8:78:56", mac;
    "names_mfa" "whether a list of authentication methods names `mfa`" "pwd,mfa" => "true", names_mfa;
    "file_name" "file of a path, after the last `\\` or `/`" "C:\\Windows\\cmd.exe" => "cmd.exe", parts::file_name;
    "folder" "folder of a path, before the last `\\` or `/`" "C:\\Windows\\cmd.exe" => "C:\\Windows", parts::folder;
    "after_backslash" "what follows the last `\\`" "CORP\\ann" => "ann", |v| text(v, |t| Some(after(t, '\\')));
    "before_backslash" "what stands before the first `\\`; nothing without one" "CORP\\ann" => "CORP", |v| text(v, |t| before(t, '\\'));
    "hex" "whole number, hexadecimal after `0x`" "0x1fc" => "508", parts::hex;
    "seconds_to_millis" "seconds as whole milliseconds" "0.173624s" => "174", parts::seconds_to_millis;
    "clock_millis" "span of time as clocks show it, as whole milliseconds" "1h:24m:30s" => "5070000", parts::clock_millis;
    "kubernetes_kind" "kind of a Kubernetes resource, with the subresource" "core/v1/namespaces/shop/pods/web/exec" => "pods/exec", parts::kubernetes_kind;
    "kubernetes_name" "name of a Kubernetes resource" "core/v1/namespaces/shop/pods/web/exec" => "web", parts::kubernetes_name;
    "kubernetes_namespace" "namespace of a Kubernetes resource; nothing if it belongs to the cluster" "core/v1/namespaces/shop/pods/web" => "shop", parts::kubernetes_namespace;
    "one_line" "text without white space at its ends, and with single spaces in it" " a\r\n\tb " => "a b", |v| text(v, |t| Some(map(t, |t| t.split_whitespace().collect::<Vec<_>>().join(" "))));
    "windows_value" "text; nothing for `-` and the codes that Windows writes for no value" "%%1800" => "%%1800", |v| text(v, |t| (!matches!(t.trim(), "-" | "%%1792" | "%%1793" | "%%1794" | "%%1797")).then_some(t));
    "file_time" "moment in seconds since 1970 that a file may be of; nothing for zeros and garbage" "1.5" => "1500000", parts::file_time;
    "before_at" "what stands before the first `@`; all of it without one" "ann@CORP.EXAMPLE.COM" => "ann", |v| text(v, |t| { let end = t.find('@').unwrap_or(t.len()); Some(part(t, 0, end)) });
    "common_name" "first common name of a directory's distinguished name; what is none stays as it is" "CN=Ann,CN=Users,DC=example,DC=com" => "Ann", parts::common_name;
    "windows_outcome" "Success or Failure, from a Windows audit event's type or keywords" "0x8010000000000000" => "Failure", parts::windows_outcome;
    "hash_value" "strongest hash of a list `MD5=…,SHA256=…`" "MD5=0a,SHA256=1b" => "1b", parts::hash_value;
    "hash_algorithm" "algorithm of the strongest hash of such a list" "MD5=0a,SHA256=1b" => "SHA-256", parts::hash_algorithm;
    "protocol_name" "name of an IANA protocol number" "6" => "tcp", protocol_name;
    "protocol_num" "IANA number of a protocol's name or of its first letter" "T" => "6", protocol_num;
    "ip_version" "OCSF caption of an address's version" "192.0.2.1" => "Internet Protocol version 4 (IPv4)", ip_version;
    "aws_region" "region of an AWS availability zone" "us-west-2-lax-1a" => "us-west-2", aws::region;
    "aws_host_region" "region in a host name of AWS" "s3.eu-west-1.amazonaws.com" => "eu-west-1", aws::host_region;
    "negative_is_none" "the number, unless it is negative, which stands for none" "0.5" => "0.5", |v| text(v, |t| (!t.starts_with('-')).then_some(t));
    "guardduty_severity" "band of a GuardDuty severity" "5.5" => "Medium", |v| aws::guardduty_severity(&v);
    "kubernetes_user_type" "kind of a Kubernetes user: Service, System, User" "system:serviceaccount:shop:api" => "Service", |v| aws::kubernetes_user_type(&v);
    "before_last_slash" "what stands before the last `/`; nothing without one" "regional/webacl/shop/1a" => "regional/webacl/shop", |v| text(v, |t| { let end = t.rfind('/')?; Some(part(t, 0, end)) });
    "not_dash" "the value, unless it is the `-` that stands for none" "x" => "x", |v| text(v, |t| (t != "-").then_some(t));
    "url_scheme" "scheme of a URL; nothing without one" "https://example.com:8443/a?b=1" => "https", web::url_scheme;
    "url_host" "host of a URL, of `host:port` or of a `Host` header" "https://example.com:8443/a?b=1" => "example.com", web::url_host;
    "url_port" "port that a URL or `host:port` names" "https://example.com:8443/a?b=1" => "8443", |v| web::url_port(&v);
    "url_path" "path of a URL, without its query" "https://example.com:8443/a?b=1" => "/a", web::url_path;
    "url_query" "query of a URL" "https://example.com:8443/a?b=1" => "b=1", web::url_query;
    "http_activity" "OCSF activity of an HTTP method" "GET" => "Get", web::http_activity;
    "sum" "numbers with `+` between them, added; nothing if one is not whole" "5045+5902" => "10947", parts::sum;
    "round" "nearest whole number" "101.51" => "102", |v| web::round(&v);
    "http_outcome" "Success or Failure, by an HTTP status" "404" => "Failure", |v| web::http_outcome(&v);
    "dns_name" "DNS name without the final dot" "www.example.com." => "www.example.com", web::dns_name;
    "clf_time" "moment in the Common Log Format, also in brackets" "01/Jan/1970:01:00:01 +0100" => "1000000", |v| web::clf_time(&v);
    "audit_text" "text of the Linux audit log, out of hexadecimal digits if it is in such" "6C73002D6C" => "ls -l", linux::audit_text;
    "audit_command" "command line of the arguments in an `EXECVE` record" "argc=2 a0=\"ls\" a1=\"-l\"" => "ls -l", linux::audit_command;
    "sockaddr_ip" "address of a socket address in hexadecimal digits" "020001BBC0000201" => "192.0.2.1", linux::sockaddr_ip;
    "sockaddr_port" "port of a socket address in hexadecimal digits" "020001BBC0000201" => "443", |v| linux::sockaddr_port(&v);
    "sockaddr_path" "path of a local socket address in hexadecimal digits" "01002F72756E2F7300" => "/run/s", linux::sockaddr_path;
    "basic_time" "moment such as `20250304 09:00:00`, in UTC" "19700101 00:00:01" => "1000000", |v| web::basic_time(&v);
    "us_time" "moment such as `Jan 19, 2023, 10:46:15 PM`, in UTC" "Jan 1, 1970, 12:00:01 AM" => "1000000", |v| web::us_time(&v);
}

fn text<'e>(value: Val<'e>, apply: impl FnOnce(Cow<'e, str>) -> Option<Cow<'e, str>>) -> Outcome<'e> {
    Ok(apply(value.into_text()).filter(|t| !t.is_empty()).map(Val::Text))
}

fn map(text: Cow<'_, str>, apply: impl FnOnce(&str) -> String) -> Cow<'_, str> {
    Cow::Owned(apply(&text))
}

/// A part of a text, borrowed if the text is.
fn part(text: Cow<'_, str>, start: usize, end: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..end]),
        Cow::Owned(text) => Cow::Owned(text[start..end].to_owned()),
    }
}

fn after(text: Cow<'_, str>, separator: char) -> Cow<'_, str> {
    let (start, end) = (text.rfind(separator).map_or(0, |at| at + separator.len_utf8()), text.len());
    part(text, start, end)
}

fn before(text: Cow<'_, str>, separator: char) -> Option<Cow<'_, str>> {
    let end = text.find(separator)?;
    Some(part(text, 0, end))
}

fn moment(value: Val<'_>) -> Outcome<'_> {
    match rfc3339(&value.text()) {
        Some(micros) => Ok(Some(Val::Time(micros))),
        None => Err("not a moment in RFC 3339"),
    }
}

fn unix<'e>(value: &Val<'_>, micros_per_unit: i64) -> Outcome<'e> {
    let micros = match value.int() {
        Some(n) => n.checked_mul(micros_per_unit),
        None => fractional(&value.text(), micros_per_unit),
    };
    micros.map(|t| Some(Val::Time(t))).ok_or("not a Unix time")
}

/// Seconds to nanoseconds, by size: each is for centuries smaller than the next.
fn unix_any<'e>(value: &Val<'_>) -> Outcome<'e> {
    const MILLIS: i64 = 100_000_000_000;
    match value.int() {
        Some(n) if n < MILLIS => unix(value, 1_000_000),
        Some(n) if n < MILLIS * 1000 => unix(value, 1000),
        Some(n) if n < MILLIS * 1_000_000 => unix(value, 1),
        Some(n) => Ok(Some(Val::Time(n / 1000))),
        None => unix(value, 1_000_000),
    }
}

/// `1.663703546405E9`: as a number with fewer fractional digits.
fn scientific(mantissa: &str, exponent: &str, micros_per_unit: i64) -> Option<i64> {
    let exponent = exponent.trim_start_matches('+').parse::<usize>().ok().filter(|e| *e <= 18)?;
    let (whole, digits) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let moved = digits.len().min(exponent);
    let zeros = "0".repeat(exponent - moved);
    let text = format!("{whole}{}{zeros}.{}0", &digits.get(..moved)?, &digits.get(moved..)?);
    fractional(&text, micros_per_unit)
}

/// A decimal fraction in exact arithmetic: an `f64` loses microseconds.
fn fractional(text: &str, micros_per_unit: i64) -> Option<i64> {
    let text = text.trim();
    if let Some((mantissa, exponent)) = text.split_once(['e', 'E']) {
        return scientific(mantissa, exponent, micros_per_unit);
    }
    let (whole, digits) = text.split_once('.')?;
    let base = whole.parse::<i64>().ok()?.checked_mul(micros_per_unit)?;
    let mut unit = micros_per_unit;
    let mut micros = 0;
    for digit in digits.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        unit /= 10;
        micros += i64::from(digit - b'0') * unit;
    }
    Some(if whole.starts_with('-') { base - micros } else { base + micros })
}

/// Where in `text` an address stands, and its port.
fn address(text: &str) -> Option<(usize, usize, Option<&str>)> {
    let is_ip = |t: &str| t.parse::<IpAddr>().is_ok();
    if is_ip(text) {
        return Some((0, text.len(), None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']')?;
        return is_ip(inner).then(|| (1, 1 + inner.len(), port.strip_prefix(':')));
    }
    let (host, port) = text.rsplit_once(':')?;
    (is_ip(host) && port.bytes().all(|b| b.is_ascii_digit())).then_some((0, host.len(), Some(port)))
}

fn ip(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let (start, end, _) = address(&t)?;
        // An IPv4 address in the clothes of IPv6 is the same address.
        let plain = t.get(start..start + 7).filter(|head| head.eq_ignore_ascii_case("::ffff:"));
        let start = match plain {
            Some(_) if t[start + 7..end].parse::<std::net::Ipv4Addr>().is_ok() => start + 7,
            _ => start,
        };
        Some(part(t, start, end))
    })
}

fn not_ip(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| address(&t).is_none().then_some(t))
}

fn port_of(value: Val<'_>) -> Outcome<'_> {
    Ok(address(&value.text()).and_then(|(_, _, port)| port?.parse().ok()).map(Val::Int))
}

fn url_decode(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('%') {
        return text;
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// What stands after a collection's name in a resource name, up to the next `/`.
fn segment<'e>(text: Cow<'e, str>, collection: &str) -> Option<Cow<'e, str>> {
    let at = text.find(collection).filter(|at| *at == 0 || text.as_bytes()[at - 1] == b'/')?;
    let start = at + collection.len();
    let end = text[start..].find('/').map_or(text.len(), |n| start + n);
    Some(part(text, start, end))
}

fn gcp_region(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.as_bytes() {
        [.., d, b'-', b'a'..=b'z'] if d.is_ascii_digit() => {
            let end = text.len() - 2;
            part(text, 0, end)
        }
        _ => text,
    }
}

fn service_account_project(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let end = text.strip_suffix(".iam.gserviceaccount.com")?.len();
    let start = text[..end].find('@')? + 1;
    Some(part(text, start, end))
}

fn gcp_principal_type(value: Val<'_>) -> Outcome<'_> {
    let principal = value.text();
    let caption = match principal.as_ref() {
        p if p.ends_with("gserviceaccount.com") || p.starts_with("system:serviceaccount:") => "Service",
        p if p.starts_with("serviceAccount:") => "Service",
        p if p.starts_with("system:") || p == "system@google.com" => "System",
        p if p.starts_with("group:") => "Group",
        p if p.contains('@') => "User",
        _ => return Ok(None),
    };
    Ok(Some(Val::Text(Cow::Borrowed(caption))))
}

/// Letters and digits only count, so that every usual notation is understood.
fn mac(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let digits: Vec<char> = t.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
        if digits.len() != 12 || !digits.iter().all(char::is_ascii_hexdigit) {
            return None;
        }
        let pairs: Vec<String> =
            digits.chunks(2).map(|pair| pair.iter().collect::<String>().to_lowercase()).collect();
        Some(Cow::Owned(pairs.join(":")))
    })
}

fn names_mfa(value: Val<'_>) -> Outcome<'_> {
    Ok(Some(Val::Bool(value.text().split(',').any(|method| method.trim().eq_ignore_ascii_case("mfa")))))
}

fn arn(value: Val<'_>, index: usize) -> Outcome<'_> {
    text(value, |t| {
        if !t.starts_with("arn:") {
            return None;
        }
        let start = t.match_indices(':').nth(index - 1).map(|(at, _)| at + 1)?;
        let end = if index == 5 { t.len() } else { start + t[start..].find(':')? };
        Some(part(t, start, end))
    })
}

/// Names of IANA protocol numbers that flow logs carry.
const PROTOCOLS: &[(i64, &str)] = &[
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipv4"),
    (6, "tcp"),
    (17, "udp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (89, "ospf"),
    (112, "vrrp"),
    (132, "sctp"),
];

fn protocol_name(value: Val<'_>) -> Outcome<'_> {
    let Some(number) = value.int() else { return text(value, |t| Some(map(t, str::to_lowercase))) };
    Ok(PROTOCOLS.iter().find(|(n, _)| *n == number).map(|(_, name)| Val::Text(Cow::Borrowed(name))))
}

fn protocol_num(value: Val<'_>) -> Outcome<'_> {
    if let Some(number) = value.int() {
        return Ok(Some(Val::Int(number)));
    }
    let name = value.text().to_lowercase();
    let name = match name.as_str() {
        "t" => "tcp",
        "u" => "udp",
        other => other,
    };
    Ok(PROTOCOLS.iter().find(|(_, known)| *known == name).map(|(n, _)| Val::Int(*n)))
}

fn ip_version(value: Val<'_>) -> Outcome<'_> {
    Ok(value.text().parse::<IpAddr>().ok().map(|ip| {
        Val::Text(Cow::Borrowed(match ip {
            IpAddr::V4(_) => "Internet Protocol version 4 (IPv4)",
            IpAddr::V6(_) => "Internet Protocol version 6 (IPv6)",
        }))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_holds() {
        for f in FUNCTIONS {
            let out = (f.apply)(Val::Text(f.example.0.into())).unwrap_or(None);
            assert_eq!(out.map(|v| v.text().into_owned()).as_deref(), Some(f.example.1), "{}", f.name);
            assert!(!f.doc.is_empty());
        }
    }

    #[test]
    fn nothing_is_not_a_fault() {
        for (name, input) in [
            ("ip", "s3.amazonaws.com"),
            ("not_ip", "192.0.2.1"),
            ("port_of", "192.0.2.1"),
            ("arn_account", "arn:aws:s3:::bucket"),
            ("arn_account", "not an arn"),
            ("after_at", "ann"),
            ("protocol_name", "255"),
            ("mac", "000D3AF8785"),
            ("azure_subscription", "/tenants/t/providers/Microsoft.aadiam"),
        ] {
            let f = function(name).map(|f| (f.apply)(Val::Text(input.into())));
            assert_eq!(f, Some(Ok(None)), "{name} {input}");
        }
    }
}
