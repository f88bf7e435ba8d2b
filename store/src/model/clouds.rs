//! What the classes of each cloud do; what they cost is in the price book.

use std::time::Duration;

use crate::RestoreSpeed;

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// Amazon S3.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Gcs,
}

/// How long a restore takes at most; `None` where there is no such speed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delays {
    expedited: Option<Duration>,
    standard: Duration,
    bulk: Duration,
}

impl Delays {
    pub(super) const fn of(&self, speed: RestoreSpeed) -> Option<Duration> {
        match speed {
            RestoreSpeed::Expedited => self.expedited,
            RestoreSpeed::Standard => Some(self.standard),
            RestoreSpeed::Bulk => Some(self.bulk),
        }
    }
}

/// A storage class.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: &'static str,
    /// Reads need a restore that takes so long.
    pub(super) archive: Option<Delays>,
}

const fn online(name: &'static str) -> Class {
    Class { name, archive: None }
}

const HOUR: u64 = 1;

const S3: &[Class] = &[
    online("STANDARD"),
    online("INTELLIGENT_TIERING"),
    online("STANDARD_IA"),
    online("ONEZONE_IA"),
    online("GLACIER_IR"),
    Class {
        name: "GLACIER",
        archive: Some(Delays {
            expedited: Some(Duration::from_mins(5)),
            standard: Duration::from_hours(5 * HOUR),
            bulk: Duration::from_hours(12 * HOUR),
        }),
    },
    Class {
        name: "DEEP_ARCHIVE",
        archive: Some(Delays {
            expedited: None,
            standard: Duration::from_hours(12 * HOUR),
            bulk: Duration::from_hours(48 * HOUR),
        }),
    },
];

const AZURE: &[Class] = &[
    online("Hot"),
    online("Cool"),
    online("Cold"),
    Class {
        name: "Archive",
        archive: Some(Delays {
            expedited: Some(Duration::from_hours(HOUR)),
            standard: Duration::from_hours(15 * HOUR),
            bulk: Duration::from_hours(15 * HOUR),
        }),
    },
];

const GCS: &[Class] = &[online("STANDARD"), online("NEARLINE"), online("COLDLINE"), online("ARCHIVE")];

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::S3, Self::Azure, Self::Gcs];

    const fn classes(self) -> &'static [Class] {
        match self {
            Self::S3 => S3,
            Self::Azure => AZURE,
            Self::Gcs => GCS,
        }
    }

    /// The class that a new object has.
    pub(super) const fn first(self) -> &'static Class {
        &self.classes()[0]
    }

    pub(super) fn class(self, name: &str) -> Option<&'static Class> {
        self.classes().iter().find(|class| class.name == name)
    }

    /// Whether an object keeps its etag when its class changes.
    pub(super) const fn keeps_etag(self) -> bool {
        !matches!(self, Self::Gcs)
    }
}
