//! What operations on object stores cost.
//!
//! A [`Book`] is a file of list prices; one with a date is built in, `prices:` of the configuration
//! replaces it, and the program knows no price by itself. The book prices single operations and stays
//! of objects in a storage class, as a provider's bill does: `plan` multiplies them with what a policy
//! will do, a simulation adds up what was done, and both come to the same sum.
//!
//! Amounts are in the book's currency. A gigabyte is 2^30 bytes, a month is 730 hours.

mod book;
#[cfg(test)]
mod tests;

use linchpin_config::Place;
use serde::{Deserialize, Serialize};

pub use book::{Book, ClassPrices, Restoring, Siem, StorePrices};

/// Bytes of a gigabyte on a bill.
pub const GB: f64 = (1u64 << 30) as f64;

/// Milliseconds of a month on a bill: 730 hours.
pub const MONTH_MS: i64 = 730 * 3_600_000;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * 3_600_000;

/// Who runs a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Amazon S3.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Gcs,
    /// A folder.
    Local,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::S3, Self::Azure, Self::Gcs, Self::Local];

    /// Who runs the store at a place.
    pub const fn of(place: &Place) -> Self {
        match place {
            Place::S3 { .. } => Self::S3,
            Place::Azure { .. } => Self::Azure,
            Place::Gcs { .. } => Self::Gcs,
            Place::Folder(_) => Self::Local,
        }
    }

    /// Its name in a price book.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "azure",
            Self::Gcs => "gcs",
            Self::Local => "local",
        }
    }
}

/// Requests, as the providers tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Writes an object, a part of one or a copy into the class.
    Put,
    /// Reads an object, a range of it or its properties.
    Get,
    /// Lists objects, or sets what is not content (lock, hold).
    List,
    /// Moves an object into the class.
    Move,
    /// Deletes; every provider does this for nothing.
    Delete,
}

/// How bytes come out of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    /// Minutes; `High` on Azure.
    Expedited,
    /// Hours.
    Standard,
    /// Many hours, cheapest.
    Bulk,
}

impl Speed {
    /// All of them, fastest first.
    pub const ALL: [Self; 3] = [Self::Expedited, Self::Standard, Self::Bulk];
}

/// What keeping an object in a class costs, from when it came until it left.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stay {
    /// For the time that it was there.
    pub storage: f64,
    /// For the rest of the minimum duration.
    pub early: f64,
}
