//! What a job is: the request, its price, its approval, and how far every part of it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{prices::Speed, rehydrate::Shape};

/// Most parts (objects) of one job.
pub const PARTS_MAX: usize = 100_000;

/// Money in millionths of the price book's currency; amounts are rounded up.
pub type Micros = u64;

/// A speed's name on the command line and in reports.
pub const fn speed_name(speed: Speed) -> &'static str {
    match speed {
        Speed::Expedited => "expedited",
        Speed::Standard => "standard",
        Speed::Bulk => "bulk",
    }
}

/// Where events are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A folder of this machine (absolute path): one file a part.
    Folder(String),
    /// The table `rehydrated`, where the rows stay for so many days.
    Table {
        /// Days from the job's end.
        keep_days: u32,
    },
    /// An output of the configuration, by name.
    Output(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "folder:{path}"),
            Self::Table { .. } => f.write_str("table"),
            Self::Output(name) => write!(f, "output:{name}"),
        }
    }
}

/// What a job brings back, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// SQL predicate over the linchpin columns.
    pub predicate: String,
    /// Events of this time or later, epoch milliseconds.
    pub from_ms: i64,
    /// Events before this time, epoch milliseconds.
    pub to_ms: i64,
    /// In what form.
    pub shape: Shape,
    /// Where to.
    pub destination: Destination,
}

/// Who allowed a job to cost money, and how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// User name.
    pub by: String,
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// The most that may be spent.
    pub budget: Micros,
    /// How fast.
    pub speed: Speed,
    /// Days for which restored copies are kept.
    pub days: u32,
}

/// One object of the archive, which is restored as a whole and read in blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Name of the archive.
    pub store: String,
    /// Key of the object.
    pub object: String,
    /// Its etag; restores are asked for this version only.
    pub etag: String,
    /// Its storage class, in the provider's word.
    pub class: String,
    /// Its size in bytes: what a restore is billed for.
    pub bytes: u64,
    /// Most bytes that are read of it.
    pub read_max: u64,
    /// Segments in it that are asked for.
    pub segments: Vec<String>,
    /// The most that bringing it back costs, at `speed`.
    pub price: Micros,
    /// How fast it is restored; set by the approval.
    pub speed: Speed,
    /// How far it is.
    pub state: PartState,
    /// Whether `price` is in the job's `committed` for the restore or the read that is under way.
    pub charged: bool,
    /// Whether it can be read because this job had it restored.
    pub copied: bool,
    /// Failures in a row.
    pub tries: u32,
    /// Nothing is done before, epoch milliseconds.
    pub not_before_ms: i64,
}

/// How far a part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// It must be restored, and nobody has asked for that.
    Archived,
    /// The intent to ask is on record: the request may have gone out, or not.
    Asked {
        /// When, epoch milliseconds.
        since_ms: i64,
    },
    /// A restore is under way.
    Restoring {
        /// Since when, epoch milliseconds.
        since_ms: i64,
    },
    /// It can be read: for good, or until then.
    Readable {
        /// Epoch milliseconds.
        until_ms: Option<i64>,
    },
    /// Its events are safe in the lake, but not at the destination.
    Staged,
    /// Its events are at the destination; its restored copy is still paid for.
    Served,
    /// Its events are at the destination.
    Delivered,
    /// It is not where the job thought: the ledger must be asked.
    Displaced,
    /// It moved: other parts of the job have its segments now.
    Moved,
    /// Its events cannot be had.
    Lost {
        /// Why.
        why: String,
    },
}

impl PartState {
    /// Whether nothing is left to do.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Delivered | Self::Moved | Self::Lost { .. })
    }
}

/// What a job would cost and how long it would take at one speed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// How fast.
    pub speed: Speed,
    /// The most it costs.
    pub price: Micros,
    /// Minutes until the last object can be read, at most as the provider says.
    pub minutes: u64,
}

/// The process that works on a job now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its id (a ULID), under which it is present on its machine.
    pub runner: String,
    /// It is taken to be gone after this, epoch milliseconds.
    pub until_ms: i64,
}

/// A job: one JSON document in the lake, replaced only by who has read the last version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id (a ULID).
    pub id: String,
    /// When it was made, epoch milliseconds.
    pub created_ms: i64,
    /// When it last changed, epoch milliseconds.
    pub updated_ms: i64,
    /// Counts its versions.
    pub revision: u64,
    /// What is asked for.
    pub order: Order,
    /// Events whose places are known; those of expired days are found by reading.
    pub events_known: u64,
    /// What each speed costs, and the currency.
    pub offers: Vec<Offer>,
    /// Currency of all amounts.
    pub currency: String,
    /// Without it nothing is asked for.
    pub approval: Option<Approval>,
    /// Money that was spent or may have been.
    pub committed: Micros,
    /// Restores that were asked for.
    pub restores: u64,
    /// Told to stop: nothing more is asked for or delivered.
    pub cancelled: bool,
    /// Events delivered.
    pub events: u64,
    /// Bytes read from archives.
    pub bytes_read: u64,
    /// The objects.
    pub parts: Vec<Part>,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// The last trouble, in words.
    pub trouble: Option<String>,
    /// When what it kept in the lake was removed (but for this record), epoch milliseconds.
    pub released_ms: Option<i64>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Priced; waits for an approval.
    Estimated,
    /// Restores, reads or deliveries are under way.
    Running,
    /// What is left to do is beyond the budget.
    OverBudget,
    /// Everything is delivered.
    Done,
    /// Everything that can be had is delivered; some of it cannot.
    Incomplete,
    /// Told to stop.
    Cancelled,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Estimated => "estimated",
            Self::Running => "running",
            Self::OverBudget => "over budget",
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
        })
    }
}

impl Phase {
    /// Whether nothing will happen any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Incomplete | Self::Cancelled)
    }
}

impl Job {
    /// Where it stands.
    pub fn phase(&self) -> Phase {
        let open = || self.parts.iter().filter(|part| !part.state.is_final());
        let Some(approval) = &self.approval else {
            return if self.cancelled { Phase::Cancelled } else { Phase::Estimated };
        };
        if open().next().is_none() {
            let lost = self.parts.iter().any(|part| matches!(part.state, PartState::Lost { .. }));
            return if lost { Phase::Incomplete } else { Phase::Done };
        }
        if self.cancelled {
            return Phase::Cancelled;
        }
        let left = approval.budget.saturating_sub(self.committed);
        if open().all(|part| part.owes() > left) { Phase::OverBudget } else { Phase::Running }
    }

    /// Number of parts in a state.
    pub fn count(&self, of: impl Fn(&PartState) -> bool) -> usize {
        self.parts.iter().filter(|part| of(&part.state)).count()
    }
}

impl Part {
    /// What its next step adds to the money committed.
    pub fn owes(&self) -> Micros {
        match self.state {
            PartState::Archived | PartState::Readable { until_ms: None } if !self.charged => self.price,
            _ => 0,
        }
    }
}
