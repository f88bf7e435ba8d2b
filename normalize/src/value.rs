//! Values between the scan and the columns, and their conversion to OCSF types.

use std::{borrow::Cow, net::IpAddr};

use crate::schema::{Attribute, Base, Type};

/// A value on its way from an event to a column or a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Val<'e> {
    /// Text, unescaped.
    Text(Cow<'e, str>),
    /// A number as written; it keeps digits that no binary type holds.
    Number(&'e str),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// A moment, epoch microseconds.
    Time(i64),
}

/// Why a value was refused; constant text, so that refusing costs nothing.
pub type Fault = &'static str;

impl<'e> Val<'e> {
    /// The value as text; borrowed where it can be.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(text) => Cow::Borrowed(text),
            Self::Int(n) | Self::Time(n) => Cow::Owned(n.to_string()),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
        }
    }

    /// As [`Val::text`], taking the value.
    pub fn into_text(self) -> Cow<'e, str> {
        match self {
            Self::Text(text) => text,
            Self::Number(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.text().into_owned()),
        }
    }

    /// A whole number, also from text such as `443` or `443.0`.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(n) | Self::Time(n) => Some(*n),
            Self::Bool(_) => None,
            Self::Text(text) => whole(text.trim()),
            Self::Number(text) => whole(text),
        }
    }

    fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// The value as `attribute` wants it, or why it does not fit.
    pub fn convert(self, attribute: &Attribute) -> Result<Self, Fault> {
        match attribute.ty {
            Type::Timestamp => match self {
                Self::Time(_) => Ok(self),
                // A bare number is taken for what OCSF itself uses: epoch milliseconds.
                other => other.int().and_then(|ms| ms.checked_mul(1000)).map(Self::Time).ok_or("not a time"),
            },
            Type::Port => match self.int() {
                Some(n @ 0..=65535) => Ok(Self::Int(n)),
                _ => Err("not a port"),
            },
            Type::Ip => match self.text().parse::<IpAddr>() {
                Ok(_) => Ok(self),
                Err(_) => Err("not an IP address"),
            },
            Type::Integer => match self.int() {
                Some(n) if i32::try_from(n).is_ok() => Ok(Self::Int(n)),
                _ => Err("not a 32-bit integer"),
            },
            ty => match ty.base() {
                Base::Integer => self.int().map(Self::Int).ok_or("not an integer"),
                Base::Boolean => self.bool().map(Self::Bool).ok_or("not true or false"),
                Base::Float => match self.text().parse::<f64>() {
                    Ok(x) if x.is_finite() => Ok(self),
                    _ => Err("not a number"),
                },
                Base::String => Ok(Self::Text(self.into_text())),
                Base::Json => Ok(self),
                Base::Object => Err("an object cannot be set from a single value"),
            },
        }
    }
}

fn whole(text: &str) -> Option<i64> {
    if let Ok(n) = text.parse() {
        return Some(n);
    }
    let (int, fraction) = text.split_once('.')?;
    fraction.bytes().all(|b| b == b'0').then(|| int.parse().ok()).flatten()
}

/// Epoch microseconds of an RFC 3339 moment; a missing zone counts as UTC, a space may stand for
/// the `T`, fractions of any length are cut to microseconds.
pub fn rfc3339(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    let (head, rest) = b.split_first_chunk::<19>()?;
    let pair = |at: usize| -> Option<i64> {
        let (x, y) = (head[at].wrapping_sub(b'0'), head[at + 1].wrapping_sub(b'0'));
        (x < 10 && y < 10).then(|| i64::from(x) * 10 + i64::from(y))
    };
    if head[4] != b'-'
        || head[7] != b'-'
        || head[13] != b':'
        || head[16] != b':'
        || !matches!(head[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let (year, month, day) = (pair(0)? * 100 + pair(2)?, pair(5)?, pair(8)?);
    let (hour, minute, second) = (pair(11)?, pair(14)?, pair(17)?);
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let (micros, zone) = fraction(rest)?;
    Some((seconds - offset_seconds(zone)?) * 1_000_000 + micros)
}

fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', digits)) = rest.split_first() else { return Some((0, rest)) };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let micros = (0..6).fold(0, |n, i| n * 10 + if i < len { i64::from(digits[i] - b'0') } else { 0 });
    (len > 0).then_some((micros, &digits[len..]))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone.split_first() {
        None | Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        Some(_) => return None,
    };
    let digits: Vec<i64> =
        rest.iter().filter(|b| **b != b':').map(|b| i64::from(b.wrapping_sub(b'0'))).collect();
    match digits[..] {
        [a, b, c, d] if digits.iter().all(|d| *d < 10) => {
            Some(sign * ((a * 10 + b) * 3600 + (c * 10 + d) * 60))
        }
        _ => None,
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of days since 1970-01-01.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    // As below: eras of 400 years that start in March.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a proleptic Gregorian date.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years start in March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, month) = (year.div_euclid(400), (month + 9) % 12);
    let of_era = year - era * 400;
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// An RFC 3339 text of epoch microseconds, in UTC; milliseconds only where there are any.
pub fn rfc3339_text(micros: i64) -> Option<String> {
    jiff::Timestamp::from_microsecond(micros).ok().map(|t| t.to_string())
}

/// Whether an address belongs to a private, loopback, link-local or shared range
/// (RFC 1918, 6598, 3927, 4193, 4291).
pub fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(v4) => is_internal(IpAddr::V4(v4)),
            None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:34:56.789Z", Some(1_709_210_096_789_000)),
            ("2024-02-29T12:34:56.7891234Z", Some(1_709_210_096_789_123)),
            ("2024-02-29 12:34:56", Some(1_709_210_096_000_000)),
            ("2024-02-29T13:34:56+01:00", Some(1_709_210_096_000_000)),
            ("2024-02-29T07:04:56-0530", Some(1_709_210_096_000_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01", None),
            ("2024-01-01T00:00:00X", None),
            ("", None),
        ] {
            assert_eq!(rfc3339(text), expected, "{text}");
        }
    }

    #[test]
    fn days_and_dates() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            assert!((1..=12).contains(&month) && day >= 1 && day <= days_in(year, month));
        }
    }

    #[test]
    fn internal_addresses() {
        for (text, expected) in [
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("169.254.169.254", true),
            ("8.8.8.8", false),
            ("203.0.113.9", false),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::ffff:10.0.0.1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(text.parse().map(is_internal), Ok(expected), "{text}");
        }
    }
}
