//! Small tables for people: aligned columns, numbers to the right.

use std::{
    fmt,
    io::{self, Write},
    time::Duration,
};

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use jiff::Timestamp;

/// Shown where there is nothing.
const NOTHING: &str = "-";

/// Rows under a header.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned).into()] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Whether there is only the header.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Writes it, unless it is empty.
    pub(crate) fn print(&self, to: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() { Ok(()) } else { write!(to, "{self}") }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |n: usize| self.rows.iter().filter_map(move |row| row.get(n));
        let widths: Vec<usize> =
            (0..columns).map(|n| cells(n).map(|c| c.chars().count()).max().unwrap_or(0)).collect();
        let numbers: Vec<bool> = (0..columns).map(|n| cells(n).skip(1).all(|c| is_number(c))).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (n, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[n] - cell.chars().count());
                let (left, right) = if numbers[n] { (pad.as_str(), "") } else { ("", pad.as_str()) };
                let gap = if n == 0 { "" } else { "  " };
                line.extend([gap, left, cell, right]);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Whether a cell is a number, perhaps with a unit, or empty.
fn is_number(cell: &str) -> bool {
    cell == NOTHING || cell.starts_with(|c: char| c.is_ascii_digit())
}

/// A size in bytes.
pub(crate) fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

/// A number.
pub(crate) fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// A moment in epoch milliseconds, to the second; nothing for 0.
pub(crate) fn moment(ms: i64) -> String {
    rfc3339(ms).map_or_else(
        || NOTHING.to_owned(),
        |text| text.split('.').next().unwrap_or_default().trim_end_matches('Z').to_owned() + "Z",
    )
}

/// A span of time in milliseconds, roughly; nothing if there is none.
pub(crate) fn span(ms: Option<i64>) -> String {
    let Some(ms) = ms else { return NOTHING.to_owned() };
    let length = HumanDuration(Duration::from_millis(ms.unsigned_abs()));
    if ms < 0 { format!("-{length:#}") } else { format!("{length:#}") }
}

/// A moment in epoch milliseconds as RFC 3339; `None` for 0 and for what no calendar has.
pub(crate) fn rfc3339(ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(ms).ok().filter(|_| ms != 0)?;
    Some(at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_right() {
        let mut table = Table::new(["FEED", "EVENTS", "LAST"]);
        assert!(table.is_empty());
        table.row(["aws".to_owned(), count(12), "a".to_owned()]);
        table.row(["azure".to_owned(), count(1234), "-".to_owned()]);
        assert_eq!(table.to_string(), "FEED   EVENTS  LAST\naws        12  a\nazure   1,234  -\n");
    }

    #[test]
    fn values_for_people() {
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(moment(1_700_000_000_123), "2023-11-14T22:13:20Z");
        assert_eq!(moment(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(moment(0), "-");
        assert_eq!(span(Some(7_200_000)), "2h");
        assert_eq!(span(Some(-120_000)), "-2m");
        assert_eq!(span(None), "-");
        assert_eq!(rfc3339(1_700_000_000_123).as_deref(), Some("2023-11-14T22:13:20.123Z"));
    }
}
