//! Folders of days in the keys of a bucket.
//!
//! Understood are three folders one after another that are a year, a month and a day, each with a
//! label or without: `2026/11/22/`, `y=2026/m=11/d=22/`, `year=2026/month=11/day=22/`. Their digits
//! have a fixed width, so the keys of a series of days sort by day.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

/// Folders of days that differ in nothing but the day: those of one account and region, say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    /// What comes before the label of the year.
    stem: String,
    /// What comes before each number, such as `y=`.
    labels: [String; 3],
}

impl Series {
    /// The series and the day that a key belongs to, by its first folders that are a date.
    pub(super) fn of(key: &str) -> Option<(Self, Date)> {
        let folders: Vec<&str> = key.split('/').collect();
        let (_, folders) = folders.split_last()?;
        let mut stem = 0;
        for window in folders.windows(3) {
            if let (Some(year), Some(month), Some(day)) =
                (number(window[0], 4), number(window[1], 2), number(window[2], 2))
                && let Ok(date) = Date::new(year.1, month.1 as i8, day.1 as i8)
            {
                let labels = [year.0, month.0, day.0].map(str::to_owned);
                return Some((Self { stem: key[..stem].to_owned(), labels }, date));
            }
            stem += window[0].len() + 1;
        }
        None
    }

    /// What all its keys start with.
    pub(super) fn prefix(&self) -> String {
        format!("{}{}", self.stem, self.labels[0])
    }

    /// The folder of a day: the keys of that day and of later ones sort after it.
    pub(super) fn from(&self, day: Date) -> String {
        let [y, m, d] = &self.labels;
        format!("{}{y}{:04}/{m}{:02}/{d}{:02}/", self.stem, day.year(), day.month(), day.day())
    }

    /// Keys of the series sort before it, other folders with the same prefix after it.
    pub(super) fn end(&self) -> String {
        // The character after `9`.
        format!("{}:", self.prefix())
    }
}

/// When a blob of a name that Azure lets grow for an hour
/// (`…/y=2026/m=11/d=22/h=07/m=00/PT1H.json`) will be complete: the end of its hour.
pub(super) fn grows_until(key: &str) -> Option<Timestamp> {
    let folder = key.strip_suffix("/PT1H.json")?;
    let from = folder.find("/y=").map_or(0, |at| at + 1);
    let mut numbers = folder[from..]
        .split('/')
        .zip(["y=", "m=", "d=", "h="])
        .map(|(part, label)| part.strip_prefix(label).and_then(|number| number.parse::<i16>().ok()));
    let mut next = || numbers.next().flatten();
    let (year, month, day, hour) = (next()?, next()?, next()?, next()?);
    let start = Date::new(year, month as i8, day as i8).ok()?.at(hour as i8 % 24, 0, 0, 0);
    TimeZone::UTC.to_timestamp(start).ok()?.checked_add(1.hour()).ok()
}

/// A label and a number of so many digits.
fn number(folder: &str, digits: usize) -> Option<(&str, i16)> {
    let (label, number) = folder.split_at(folder.rfind('=').map_or(0, |at| at + 1));
    let right = number.len() == digits && number.bytes().all(|b| b.is_ascii_digit());
    right.then(|| number.parse().ok()).flatten().map(|number| (label, number))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_found_in_the_layouts_of_three_clouds() {
        let day = "a/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/22/x.json.gz";
        let hive = "AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2026/month=11/day=22/hour=07/x.log.gz";
        let azure = "resourceId=/SUBSCRIPTIONS/00000000/PROVIDERS/X/y=2026/m=11/d=22/h=07/m=00/PT1H.json";
        let gcp = "cloudaudit.googleapis.com/activity/2026/11/22/08:00:00_08:59:59_S0.json";
        for key in [day, hive, azure, gcp, "2026/11/22/x"] {
            let (series, day) = Series::of(key).unwrap();
            assert_eq!(day, date(2026, 11, 22), "{key}");
            assert!(key.starts_with(&series.from(day)), "{key}");
            assert!(key.starts_with(&series.prefix()), "{key}");
            assert!(*key > *series.from(day) && *key < *series.from(date(2026, 11, 23)), "{key}");
            assert!(*key < *series.end(), "{key}");
        }
        let (series, _) = Series::of(azure).unwrap();
        assert!(series.from(date(2027, 1, 2)).ends_with("/X/y=2027/m=01/d=02/"));
    }

    #[test]
    fn an_hour_of_azure_ends() {
        let until = |key: &str| grows_until(key).map(|end| end.to_string());
        let hour = "resourceId=/SUBSCRIPTIONS/0/y=2026/m=12/d=31/h=23/m=00/PT1H.json";
        assert_eq!(until(hour).as_deref(), Some("2027-01-01T00:00:00Z"));
        assert_eq!(
            until("y=2026/m=11/d=22/h=07/m=00/macAddress=0022/PT1H.json").as_deref(),
            Some("2026-11-22T08:00:00Z")
        );
        for key in
            ["PT1H.json", "a/PT1H.json", "y=2026/m=11/d=22/PT1H.json", "y=2026/m=11/d=22/h=07/m=00/x.json"]
        {
            assert_eq!(until(key), None, "{key}");
        }
    }

    #[test]
    fn what_is_no_day_is_no_series() {
        for key in [
            "",
            "x",
            "2026/11/22",
            "2026/13/22/x",
            "2026/02/30/x",
            "26/11/22/x",
            "2026/1/2/x",
            "2026-11-22-08-00-00-ABC",
            "111122223333/11/22/x",
        ] {
            assert_eq!(Series::of(key), None, "{key}");
        }
    }
}
