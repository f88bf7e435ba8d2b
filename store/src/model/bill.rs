//! What a provider would write down for its bill: requests, and how long objects lay where.

use std::collections::BTreeMap;

use crate::RestoreSpeed;

/// Kinds of requests that are priced apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Writes an object or a part of one; the class is its.
    Put,
    /// Reads bytes or properties; the class is the object's.
    Get,
    /// Lists, or sets a lock or a hold.
    List,
    /// Moves an object; the class is the one that it comes into.
    Move,
    /// Deletes.
    Delete,
    /// Asks for a restore at a speed.
    Restore(RestoreSpeed),
}

/// Requests of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// How many, refused ones included.
    pub count: u64,
    /// Bytes that were read or restored.
    pub bytes: u64,
}

/// An object's time in a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    /// Class, in the provider's word.
    pub class: &'static str,
    /// Size in bytes.
    pub bytes: u64,
    /// When it came, epoch milliseconds.
    pub from_ms: i64,
    /// When it left; `None` while it is there.
    pub to_ms: Option<i64>,
    /// Whether it is the readable copy of an archived object, which has no minimum duration.
    pub restored_copy: bool,
}

/// Everything that a bill is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests by kind and class.
    pub requests: BTreeMap<(Request, &'static str), Requests>,
    /// Stays of objects, ended or not.
    pub stays: Vec<Stay>,
}

impl Usage {
    pub(super) fn count(&mut self, request: Request, class: &'static str, count: u64, bytes: u64) {
        let requests = self.requests.entry((request, class)).or_default();
        requests.count += count;
        requests.bytes += bytes;
    }
}
