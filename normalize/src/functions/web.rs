//! What the logs of web servers, proxies and name servers share: URLs, methods, statuses, dates.

use std::borrow::Cow;

use super::{Outcome, address, part, text};
use crate::value::Val;

/// Where the parts of a URL begin and end: scheme, authority, path, query.
fn url(text: &str) -> (usize, usize, usize, usize) {
    let scheme =
        text.find("://").filter(|at| text[..*at].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+'));
    let start = scheme.map_or(0, |at| at + 3);
    let rest = &text[start..];
    let path = if scheme.is_some() || !text.starts_with('/') {
        start + rest.find(['/', '?', '#']).unwrap_or(rest.len())
    } else {
        start
    };
    let query = path + text[path..].find(['?', '#']).unwrap_or(text.len() - path);
    (scheme.unwrap_or(0), start, path, query)
}

/// The scheme, in front of `://`.
pub(super) fn url_scheme(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let (scheme, ..) = url(&t);
        Some(part(t, 0, scheme))
    })
}

/// Host without credentials and port, of a URL with `://`, of `host:port` and of a `Host` header.
pub(super) fn url_host(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let (_, start, path, _) = url(&t);
        let start = t[start..path].rfind('@').map_or(start, |at| start + at + 1);
        let end = match address(&t[start..path]) {
            // Without the brackets of an IPv6 address.
            Some((from, to, _)) => return Some(part(t, start + from, start + to)),
            None => t[start..path].rfind(':').map_or(path, |at| start + at),
        };
        Some(part(t, start, end))
    })
}

/// The port that stands behind the host.
pub(super) fn url_port(value: &Val<'_>) -> Outcome<'static> {
    let t = value.text();
    let (_, start, path, _) = url(&t);
    let port = t[start..path].rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    Ok(port.map(|n| Val::Int(n.into())))
}

/// The path, from its first `/` up to `?`.
pub(super) fn url_path(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let (_, _, path, query) = url(&t);
        Some(part(t, path, query))
    })
}

/// What follows `?`, without a fragment.
pub(super) fn url_query(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let (_, _, _, query) = url(&t);
        let tail = t[query..].strip_prefix('?')?;
        let end = query + 1 + tail.find('#').unwrap_or(tail.len());
        Some(part(t, query + 1, end))
    })
}

/// A method as OCSF writes its captions: the first letter large, the others small.
pub(super) fn http_activity(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let mut caption = t.to_ascii_lowercase();
        caption.get_mut(..1)?.make_ascii_uppercase();
        Some(Cow::Owned(caption))
    })
}

/// Whether an HTTP status says that it went well; nothing if it is none.
pub(super) fn http_outcome(value: &Val<'_>) -> Outcome<'static> {
    let caption = match value.int() {
        Some(100..=399) => "Success",
        Some(400..=999) => "Failure",
        _ => return Ok(None),
    };
    Ok(Some(Val::Text(Cow::Borrowed(caption))))
}

/// The nearest whole number.
pub(super) fn round(value: &Val<'_>) -> Outcome<'static> {
    if let Some(n) = value.int() {
        return Ok(Some(Val::Int(n)));
    }
    let number = value.text().trim().parse::<f64>().ok().map(f64::round).filter(|n| n.abs() < 9e15);
    // It was rounded, and it is in range.
    #[allow(clippy::cast_possible_truncation, reason = "checked above")]
    number.map(|n| Some(Val::Int(n as i64))).ok_or("not a number")
}

/// A DNS name without the dot that ends it; the root stays a dot.
pub(super) fn dns_name(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let end = if t.len() > 1 && t.ends_with('.') { t.len() - 1 } else { t.len() };
        Some(part(t, 0, end))
    })
}

/// The moment of the Common Log Format: `10/Oct/2000:13:55:36 -0700`, also in brackets.
pub(super) fn clf_time(value: &Val<'_>) -> Outcome<'static> {
    zoned("%d/%b/%Y:%H:%M:%S %z", value.text().trim_matches(['[', ']']))
}

/// A moment in the words of American English: `Jan 19, 2023, 10:46:15 PM`, in UTC.
pub(super) fn us_time(value: &Val<'_>) -> Outcome<'static> {
    // Newer Java runtimes put a narrow space in front of AM and PM.
    let plain = value.text().replace('\u{202f}', " ");
    let text = format!("{plain} +0000");
    zoned("%b %d, %Y, %I:%M:%S %p %z", &text)
}

/// A date without dashes and a time of day, in UTC.
pub(super) fn basic_time(value: &Val<'_>) -> Outcome<'static> {
    zoned("%Y%m%d %H:%M:%S %z", &format!("{} +0000", value.text()))
}

fn zoned(format: &str, text: &str) -> Outcome<'static> {
    match jiff::Timestamp::strptime(format, text) {
        Ok(moment) => Ok(Some(Val::Time(moment.as_microsecond()))),
        Err(_) => Err("not a date of this format"),
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::function;
    use crate::value::Val;

    #[test]
    fn parts_of_urls() {
        for (name, input, expected) in [
            ("url_host", "https://ann:pw@www.example.com:8443/a?b#c", Some("www.example.com")),
            ("url_host", "https://[2001:db8::1]:443/", Some("2001:db8::1")),
            ("url_host", "www.example.com:80", Some("www.example.com")),
            ("url_host", "www.example.com", Some("www.example.com")),
            ("url_host", "/a/b", None),
            ("url_port", "https://www.example.com:8443/a", Some("8443")),
            ("url_port", "https://www.example.com/a:1", None),
            ("url_path", "https://www.example.com", None),
            ("url_path", "/a/b?c=http://d/e", Some("/a/b")),
            ("url_path", "https://www.example.com/a%20b?x", Some("/a%20b")),
            ("url_query", "https://www.example.com/a?b=1#c", Some("b=1")),
            ("url_query", "/a", None),
            ("url_scheme", "wss://example.com/", Some("wss")),
            ("url_scheme", "/a?u=http://b", None),
            ("http_outcome", "-", None),
            ("http_outcome", "403", Some("Failure")),
            ("dns_name", ".", Some(".")),
        ] {
            let out = function(name).and_then(|f| (f.apply)(Val::Text(input.into())).ok().flatten());
            assert_eq!(out.map(|v| v.text().into_owned()).as_deref(), expected, "{name} {input}");
        }
    }
}
