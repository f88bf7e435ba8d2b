//! What fields probably mean, by their names and first values.

use crate::functions::function;
use crate::inventory::Inventory;
use crate::value::Val;

/// What a field must look like to be taken for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Any,
    Address,
    Port,
    Number,
}

/// Names of fields (lower case, letters and digits only), what their values look like, and the OCSF
/// attribute they probably are; the first that fits is taken.
type Meaning = (&'static str, Looks, &'static [&'static str]);

const MEANINGS: &[Meaning] = &[
    (
        "src_endpoint.ip",
        Looks::Address,
        &[
            "srcip",
            "src",
            "sourceip",
            "sourceaddress",
            "sourceipaddress",
            "srcaddr",
            "clientip",
            "cip",
            "remoteip",
            "remoteaddr",
            "remoteaddress",
            "clientaddress",
            "ipaddress",
            "callerip",
            "calleripaddress",
            "origin",
            "peer",
            "ip",
            "from",
            "client",
            "saddr",
            "xforwardedfor",
        ],
    ),
    (
        "dst_endpoint.ip",
        Looks::Address,
        &[
            "dstip",
            "dst",
            "destip",
            "destinationip",
            "destinationaddress",
            "dstaddr",
            "serverip",
            "sip",
            "targetip",
            "destination",
            "dest",
            "to",
            "server",
            "daddr",
        ],
    ),
    (
        "src_endpoint.port",
        Looks::Port,
        &["srcport", "sourceport", "spt", "sport", "clientport", "cport", "remoteport"],
    ),
    (
        "dst_endpoint.port",
        Looks::Port,
        &["dstport", "destport", "destinationport", "dpt", "dport", "serverport", "port"],
    ),
    (
        "query.hostname",
        Looks::Any,
        &["qname", "queryname", "dnsquery", "query", "domainname", "questionname"],
    ),
    ("http_request.http_method", Looks::Any, &["httpmethod", "requestmethod", "method", "csmethod", "verb"]),
    (
        "http_request.url.url_string",
        Looks::Any,
        &["url", "requesturl", "uri", "requesturi", "request", "csuri"],
    ),
    ("http_request.url.path", Looks::Any, &["path", "urlpath", "csuristem", "requestpath"]),
    (
        "http_response.code",
        Looks::Number,
        &["statuscode", "httpstatus", "responsecode", "status", "scstatus", "code"],
    ),
    (
        "http_request.user_agent",
        Looks::Any,
        &["useragent", "agent", "csuseragent", "requestclientapplication"],
    ),
    (
        "user.name",
        Looks::Any,
        &[
            "username",
            "user",
            "suser",
            "duser",
            "login",
            "loginname",
            "account",
            "accountname",
            "principal",
            "who",
            "actor",
            "email",
            "useremail",
            "upn",
            "userprincipalname",
            "csusername",
            "userid",
            "uid",
        ],
    ),
    (
        "operation",
        Looks::Any,
        &[
            "operation",
            "operationname",
            "eventname",
            "eventtype",
            "action",
            "activity",
            "command",
            "event",
            "act",
            "type",
        ],
    ),
    (
        "device.hostname",
        Looks::Any,
        &["hostname", "host", "computer", "computername", "devicename", "device", "dvchost", "machine"],
    ),
    (
        "finding",
        Looks::Any,
        &[
            "signature",
            "signaturename",
            "alertname",
            "alert",
            "threatname",
            "threat",
            "rulename",
            "title",
            "finding",
        ],
    ),
    (
        "metadata.uid",
        Looks::Any,
        &["eventid", "id", "uuid", "guid", "recordid", "logid", "alertid", "requestid", "transactionid"],
    ),
    ("message", Looks::Any, &["message", "msg", "description", "summary", "text", "reason"]),
    ("traffic.bytes", Looks::Number, &["bytes", "totalbytes", "bytestotal"]),
];

/// Names of the time of an event, the likeliest first.
const TIMES: &[&str] = &[
    "eventtime",
    "timestamp",
    "time",
    "datetime",
    "occurredat",
    "occurred",
    "createdat",
    "created",
    "creationtime",
    "ts",
    "timegenerated",
    "eventtimestamp",
    "rt",
    "start",
    "starttime",
    "date",
    "when",
    "at",
    "loggedat",
    "logtime",
];

/// Functions that read moments, the strictest first.
const MOMENTS: &[&str] = &[
    "rfc3339",
    "clf_time",
    "basic_time",
    "us_datetime",
    "us_time",
    "unix_seconds",
    "unix_millis",
    "unix_micros",
];

/// First seconds of 2000 and of 2100, between which a number may be a moment.
const SECONDS: std::ops::Range<f64> = 946_684_800.0..4_102_444_800.0;

/// What the fields of a source probably are: attribute and path, in the order of [`MEANINGS`].
pub(super) fn meanings(seen: &Inventory) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    for (attribute, looks, names) in MEANINGS {
        let by_name = |name: &&str| {
            seen.fields.iter().find(|(path, kinds)| {
                last_word(path) == **name
                    && !path.contains("[]")
                    && !found.iter().any(|(_, taken)| taken == *path)
                    && kinds.values().all(|seen| fits(*looks, &seen.example))
            })
        };
        if let Some((path, _)) = names.iter().find_map(by_name) {
            found.push((attribute, path.clone()));
        }
    }
    found
}

/// The expression of an event's time, if a field is one.
pub(super) fn time(seen: &Inventory) -> Option<String> {
    let named = |name: &&str| {
        let mut fields =
            seen.fields.iter().filter(|(path, _)| last_word(path) == **name && !path.contains("[]"));
        fields.find_map(|(path, kinds)| {
            let example = &kinds.values().next()?.example;
            moment(example).map(|function| format!("{path} | {function}"))
        })
    };
    let two = || {
        let has = |name: &str| seen.fields.get(name).and_then(|kinds| kinds.values().next());
        let joined = format!("{}T{}", has("date")?.example, has("time")?.example);
        (moment(&joined) == Some("rfc3339")).then(|| "date ~ 'T' ~ time | rfc3339".to_owned())
    };
    let any = || {
        seen.fields.iter().find_map(|(path, kinds)| {
            let example = &kinds.values().next()?.example;
            let sure = moment(example).filter(|f| !path.contains("[]") && !f.starts_with("unix"))?;
            Some(format!("{path} | {sure}"))
        })
    };
    TIMES.iter().find_map(named).or_else(two).or_else(any)
}

/// The function that reads a moment.
fn moment(text: &str) -> Option<&'static str> {
    if let Ok(number) = text.parse::<f64>() {
        let scales = [("unix_seconds", 1.0), ("unix_millis", 1e3), ("unix_micros", 1e6)];
        return scales.iter().find(|(_, scale)| SECONDS.contains(&(number / scale))).map(|(name, _)| *name);
    }
    let reads = |name: &&&str| {
        let apply = function(name).map(|f| f.apply);
        apply.is_some_and(|apply| matches!(apply(Val::Text(text.into())), Ok(Some(Val::Time(_)))))
    };
    MOMENTS.iter().find(reads).copied()
}

/// The last name of a path: lower case, letters and digits only.
pub(super) fn last_word(path: &str) -> String {
    let mut quoted = false;
    let dot = path.rfind(|c| {
        quoted ^= c == '"';
        c == '.' && !quoted
    });
    let last = dot.map_or(path, |at| &path[at + 1..]);
    last.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn fits(looks: Looks, example: &str) -> bool {
    match looks {
        Looks::Any => true,
        Looks::Address => {
            function("ip").is_some_and(|f| matches!((f.apply)(Val::Text(example.into())), Ok(Some(_))))
        }
        Looks::Port => example.parse::<u16>().is_ok(),
        Looks::Number => example.parse::<i64>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_known_by_how_they_are_written() {
        for (text, expected) in [
            ("2026-01-31T10:00:00Z", Some("rfc3339")),
            ("1769853600", Some("unix_seconds")),
            ("1769853600123", Some("unix_millis")),
            ("31/Jan/2026:10:00:00 +0100", Some("clf_time")),
            ("42", None),
            ("ann", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_compared_without_their_writing() {
        for (path, expected) in [
            ("a.srcIP", "srcip"),
            ("\"@timestamp\"", "timestamp"),
            ("x.\"cs(User-Agent)\"", "csuseragent"),
            ("c-ip", "cip"),
        ] {
            assert_eq!(last_word(path), expected);
        }
    }
}
