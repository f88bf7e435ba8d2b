//! One event between framing and its rows: what a sink of rows is told.

use std::sync::Arc;

use crate::eval::View;
use crate::plan::ClassPlan;
use crate::scan::ScanError;

/// Marks a row whose event no mapping knows.
pub const MARK_UNKNOWN: &str = "unknown";
/// Marks a row whose event could not be read, or lacks what its class requires.
pub const MARK_REJECT: &str = "reject";
/// Marks a row that only says that its feed lives.
pub const MARK_HEARTBEAT: &str = "heartbeat";
/// Marks a row whose event is not valid UTF-8; its text columns hold replacement characters.
pub const MARK_UTF8: &str = "invalid_utf8";
/// Marks a row whose event has a key twice; the last value counts.
pub const MARK_DUPLICATE: &str = "duplicate_keys";
/// Marks a row that is only a reference: its event is above the size limit.
pub const MARK_OVERSIZE: &str = "oversize";

/// An event's bytes, and what framing found wrong with them.
pub(crate) struct EventFacts<'b> {
    pub bytes: &'b [u8],
    /// The bytes as text, if they are valid UTF-8.
    pub text: Option<&'b str>,
    pub broken: Option<ScanError>,
    /// When the unit was written, epoch milliseconds.
    pub received_ms: i64,
}

/// A row of a class.
pub(crate) struct EventRow<'a> {
    pub class: &'a ClassPlan,
    /// Targets that may fill columns of it.
    pub targets: &'a [u16],
    pub view: View<'a>,
    pub alsos: u64,
    pub sub: u32,
    pub marks: &'a str,
}

/// A row of class 0.
pub(crate) struct BaseRow<'a> {
    pub sub: u32,
    pub marks: &'a str,
    /// The event's own time, epoch microseconds, where it could be read.
    pub time_micros: Option<i64>,
    /// Position within the event and reason, if the event was rejected.
    pub reject: Option<(Option<u32>, String)>,
}

/// Takes the rows of events: column builders, or a writer of documents.
pub(crate) trait Sink {
    fn row(&mut self, row: &EventRow<'_>);
    fn base(&mut self, row: &BaseRow<'_>);
    /// The rows after this are of another source than the unit's event: of one that it carries.
    fn source(&mut self, name: &Arc<str>);
    /// Whether the rows are those of an event that comes in, and not looked at once more.
    fn is_intake(&self) -> bool {
        false
    }
}

/// The row of an event that no mapping knows.
pub(crate) fn unknown(facts: &EventFacts<'_>, sink: &mut dyn Sink) {
    let reject = facts.broken.map(reason);
    let marks = if reject.is_some() { MARK_REJECT } else { MARK_UNKNOWN };
    sink.base(&BaseRow { sub: 0, marks, time_micros: None, reject });
}

/// Position and text of a scan error.
pub(crate) fn reason(error: ScanError) -> (Option<u32>, String) {
    let cut = if error.truncated { " (the bytes end here)" } else { "" };
    (Some(error.at), format!("{}{cut}", error.what))
}
