//! What the Linux audit log writes in hexadecimal digits: texts, arguments, socket addresses.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Outcome, Val, text};

/// Families of socket addresses.
const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The bytes of upper-case hexadecimal digits; nothing if there are others.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let all = |b: &u8| b.is_ascii_digit() || matches!(b, b'A'..=b'F');
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.as_bytes().iter().all(all) {
        return None;
    }
    let pair = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// The text in hexadecimal digits. The kernel writes digits only for what holds a space, a quote, a
/// control character or what is not ASCII: digits that give none of these, or what no text holds,
/// are a text themselves.
fn decoded(digits: &str) -> Option<String> {
    let bytes = bytes(digits)?;
    let strange = |b: &u8| matches!(b, 1..=6 | 14..=26 | 28..=31);
    if bytes.iter().any(strange) || !bytes.iter().any(|b| !b.is_ascii_graphic() || *b == b'"') {
        return None;
    }
    let text = String::from_utf8(bytes).ok()?;
    Some(text.trim_end_matches('\0').replace('\0', " "))
}

/// A value of the audit log that may be in hexadecimal digits.
pub(super) fn audit_text(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| Some(decoded(&t).map_or(t, Cow::Owned)))
}

/// The command line of an `EXECVE` record: its arguments `a0`, `a1` and so on, and their parts
/// `a2[0]`, `a2[1]`, in the order of the record.
pub(super) fn audit_command(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let mut line = String::new();
        let mut rest = t.as_ref();
        while let Some((key, after)) = rest.split_once('=') {
            let key = key.rsplit(' ').next().unwrap_or(key);
            let quoted = after.strip_prefix('"').and_then(|inner| inner.split_once('"'));
            let (argument, after) = quoted.unwrap_or_else(|| after.split_once(' ').unwrap_or((after, "")));
            rest = after;
            let digits = key.strip_prefix('a').unwrap_or_default();
            let (number, part) = digits.split_once('[').unwrap_or((digits, "0]"));
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            if !line.is_empty() && part == "0]" {
                line.push(' ');
            }
            match decoded(argument).filter(|_| quoted.is_none()) {
                Some(text) => line.push_str(&text),
                None => line.push_str(argument),
            }
        }
        Some(Cow::Owned(line))
    })
}

/// Address and port of a socket address in hexadecimal digits.
fn inet(digits: &str) -> Option<(IpAddr, u16)> {
    let bytes = bytes(digits)?;
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let ip = match *bytes.first()? {
        AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?).into(),
        AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).to_canonical(),
        _ => return None,
    };
    Some((ip, port))
}

/// Address of a socket address.
pub(super) fn sockaddr_ip(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| inet(&t).map(|(ip, _)| Cow::Owned(ip.to_string())))
}

/// Port of a socket address.
pub(super) fn sockaddr_port<'e>(value: &Val<'_>) -> Outcome<'e> {
    Ok(inet(&value.text()).map(|(_, port)| Val::Int(port.into())))
}

/// Path of a local socket; a name that is no path has an `@` before it.
pub(super) fn sockaddr_path(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let bytes = bytes(&t)?;
        if bytes.first() != Some(&AF_UNIX) {
            return None;
        }
        let (at, abstracted) = if bytes.get(2)? == &0 { ("@", 3) } else { ("", 2) };
        let name = bytes.get(abstracted..)?.split(|b| *b == 0).next()?;
        let name = String::from_utf8_lossy(name);
        (!name.is_empty()).then(|| Cow::Owned(format!("{at}{name}")))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn out(apply: impl FnOnce(Val<'_>) -> Outcome<'_>, input: &str) -> Option<String> {
        apply(Val::Text(input.into())).unwrap().map(|v| v.text().into_owned())
    }

    #[test]
    fn texts_are_decoded_only_if_they_had_to_be_encoded() {
        for (input, expected) in [
            ("2F7573722F62696E2F6C73202D6C", "/usr/bin/ls -l"),
            ("6C73002D6C00", "ls -l"),
            ("C3A9", "é"),
            ("1234", "1234"),
            ("BEEF", "BEEF"),
            ("6162", "6162"),
            ("abc", "abc"),
            ("/bin/ls", "/bin/ls"),
        ] {
            assert_eq!(out(audit_text, input).as_deref(), Some(expected), "{input}");
        }
    }

    #[test]
    fn arguments_make_a_command_line() {
        for (input, expected) in [
            ("argc=3 a0=\"ls\" a1=2D6C2061 a2=\"20\"", Some("ls -l a 20")),
            ("argc=2 a0=\"sh\" a1_len=8 a1[0]=\"abcd\" a1[1]=\"efgh\"", Some("sh abcdefgh")),
            ("argc=0", None),
        ] {
            assert_eq!(out(audit_command, input).as_deref(), expected, "{input}");
        }
    }

    #[test]
    fn socket_addresses() {
        assert_eq!(out(sockaddr_ip, "0200").as_deref(), None);
        let v6 = "0A0001BB0000000020010DB800000000000000000000000100000000";
        assert_eq!(out(sockaddr_ip, v6).as_deref(), Some("2001:db8::1"));
        assert_eq!(out(|v| sockaddr_port(&v), v6).as_deref(), Some("443"));
        assert_eq!(out(sockaddr_path, "010000612F6200").as_deref(), Some("@a/b"));
        assert_eq!(out(sockaddr_path, "02000035C0000201"), None);
    }
}
