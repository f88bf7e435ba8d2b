//! Values with units, names and addresses: typed where they are read, with a hint where they are wrong.

use std::borrow::Borrow;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use crate::yaml::Fault;

/// Seconds in a day.
const DAY: u64 = 24 * 3600;

/// Units of a duration, in milliseconds. A year is 365 days; months are left out, as they differ.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", DAY * 1000),
    ("w", 7 * DAY * 1000),
    ("y", 365 * DAY * 1000),
];

/// Units of a size, in bytes.
const SIZE_UNITS: &[(&str, u64)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// A span of time such as `15m`, `7d` or `3y`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationText(pub Duration);

/// An amount of bytes such as `64MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A name that is part of object keys: lowercase letters, digits, `-`, `_` and `.`, starting with a letter
/// or a digit, at most 64 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// An `http` or `https` address without credentials in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpUrl(String);

/// An address to listen on, such as `127.0.0.1:8686`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

/// Why a text is not the value it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
pub struct ValueError {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl From<Fault> for ValueError {
    fn from(fault: Fault) -> Self {
        Self { message: fault.message, hint: fault.hint }
    }
}

impl FromStr for DurationText {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Ok(Self::parse(text)?)
    }
}

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Ok(Self::parse(text)?)
    }
}

impl DurationText {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many days.
    pub const fn from_days(days: u64) -> Self {
        Self(Duration::from_secs(days * DAY))
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let ms = quantity(text, DURATION_UNITS, "duration", "`15m`, `7d` or `3y`")?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl ByteSize {
    fn parse(text: &str) -> Result<Self, Fault> {
        quantity(text, SIZE_UNITS, "size", "`64MiB`").map(Self)
    }
}

/// A whole number and a unit, in the table's smallest unit.
fn quantity(text: &str, units: &[(&str, u64)], what: &str, example: &str) -> Result<u64, Fault> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let (number, unit) = (&text[..text.len() - unit.len()], unit.trim_start());
    let names: Vec<String> = units.iter().map(|(name, _)| format!("`{name}`")).collect();
    let hint = format!("write a whole number and a unit, as in {example}; units: {}", names.join(", "));
    if number.is_empty() {
        return Err(Fault::new(format!("`{text}` is not a {what}")).hint(hint));
    }
    if unit.is_empty() {
        return Err(Fault::new(format!("the {what} `{text}` has no unit")).hint(hint));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(Fault::new(format!("unknown unit `{unit}` in the {what} `{text}`")).hint(hint));
    };
    let value = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor));
    value.ok_or_else(|| Fault::new(format!("the {what} `{text}` is too large")))
}

/// The largest unit that divides the value.
fn in_units(value: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let whole = units.iter().rev().find(|(_, factor)| value.is_multiple_of(*factor) && value >= *factor);
    let (name, factor) = whole.copied().unwrap_or(units[0]);
    write!(f, "{}{name}", value / factor)
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_units(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), DURATION_UNITS, f)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_units(self.0, SIZE_UNITS, f)
    }
}

impl Name {
    /// Characters at most.
    const CHARS_MAX: usize = 64;

    /// A name that is written in this program; it must be well formed.
    pub(crate) fn fixed(name: &'static str) -> Self {
        debug_assert!(Self::parse(name).is_ok());
        Self(name.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts && text.chars().all(allowed) && text.len() <= Self::CHARS_MAX {
            return Ok(Self(text.to_owned()));
        }
        let hint = format!(
            "use lowercase letters, digits, `-`, `_` and `.`, start with a letter or digit, at most {} characters",
            Self::CHARS_MAX
        );
        Err(Fault::new(format!("`{text}` cannot be a name")).hint(hint))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl ListenAddress {
    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = || Fault::new(format!("`{text}` is not an address to listen on"));
        let hint = "write an IP address and a port, as in `127.0.0.1:8686`";
        text.parse().map(Self).map_err(|_| fault().hint(hint))
    }
}

impl HttpUrl {
    /// The address as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let example = "write it as in `https://host:8088/path`";
        // A password may stand in it even when it is not a URL: the text is not repeated.
        let behind_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
        if behind_scheme.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@')) {
            let hint = "give a token, or a header by reference: `{ env: NAME }` or `{ file: PATH }`";
            return Err(Fault::new("credentials do not belong into a URL").hint(hint).secret());
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self(text.to_owned())),
            Ok(_) => Err(Fault::new(format!("the URL `{text}` is neither `http` nor `https`")).hint(example)),
            Err(why) => Err(Fault::new(format!("`{text}` is not a URL: {why}")).hint(example)),
        }
    }
}

/// Implements reading and the schema of types that are written as one scalar: `parse` understands it, and a
/// placeholder takes the place of a faulty value until the reading ends.
macro_rules! scalars {
    ($($type:ident, $placeholder:expr, $schema:tt;)*) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::yaml::scalar(deserializer, Self::parse, || $placeholder)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    )*};
}
pub(crate) use scalars;

scalars! {
    DurationText, Self::default(), {
        "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h|d|w|y)$",
        "description": "a whole number and a unit: ms, s, m, h, d, w or y (365 days), as in `15m`"
    };
    ByteSize, Self::default(), {
        "type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$",
        "description": "a whole number and a unit: B, KiB, MiB, GiB or TiB, as in `64MiB`"
    };
    Name, Self::default(), {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,63}$",
        "description": "lowercase letters, digits, `-`, `_` and `.`, at most 64 characters"
    };
    HttpUrl, Self::default(), {
        "type": "string", "pattern": "^https?://[^/?#@]+([/?#].*)?$",
        "description": "an `http` or `https` address without credentials"
    };
    ListenAddress, Self(SocketAddr::from(([0, 0, 0, 0], 0))), {
        "type": "string", "pattern": ":[0-9]+$",
        "description": "an IP address and a port to listen on, as in `127.0.0.1:8686`"
    };
}
