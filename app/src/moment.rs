//! Moments as a person gives them on the command line.

use std::str::FromStr;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use linchpin_config::DurationText;

/// A moment in epoch milliseconds: RFC 3339, a date (its first moment, UTC), `now`, or a while ago
/// such as `-7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub i64);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let now_ms = Timestamp::now().as_millisecond();
        if text == "now" {
            return Ok(Self(now_ms));
        }
        if let Some(ago) = text.strip_prefix('-') {
            let DurationText(ago) = ago.parse().map_err(|e: linchpin_config::ValueError| e.to_string())?;
            return Ok(Self(now_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))));
        }
        let timestamp = text.parse::<Timestamp>().ok();
        let date = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok();
        let date = || date().map(|zoned| zoned.timestamp()).filter(|_| text.len() == "2026-01-31".len());
        let found = timestamp.or_else(date).map(|at| Self(at.as_millisecond()));
        found.ok_or_else(|| {
            format!(
                "`{text}` is not a moment\nhint: write `2026-01-31T12:00:00Z`, `2026-01-31`, `-7d` or `now`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_four_forms() {
        let parsed = |text: &str| text.parse::<Moment>().map(|m| m.0);
        assert_eq!(parsed("2023-11-14T22:13:20Z"), Ok(1_700_000_000_000));
        assert_eq!(parsed("2023-11-14T23:13:20+01:00"), Ok(1_700_000_000_000));
        assert_eq!(parsed("1970-01-02"), Ok(86_400_000));
        let now = Timestamp::now().as_millisecond();
        assert!(parsed("now").is_ok_and(|ms| (ms - now).abs() < 60_000));
        assert!(parsed("-2h").is_ok_and(|ms| (now - 7_200_000 - ms).abs() < 60_000));
        for wrong in ["", "yesterday", "-7", "2026-13-01", "2026-01-31T12:00:00", "7d"] {
            assert!(parsed(wrong).is_err_and(|e| e.contains("hint: ")), "{wrong}");
        }
    }
}
