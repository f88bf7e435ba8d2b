//! What a write or a change carries beside the bytes, in the SDK's words.

use aws_sdk_s3::{
    operation::head_object::HeadObjectOutput,
    primitives::DateTime,
    types::{ObjectLockLegalHoldStatus, ObjectLockMode, StorageClass, Tier},
};

use crate::{LockMode, PutAs, RestoreSpeed, StoreError};

/// Under what condition an object is written, and with what.
#[derive(Default)]
pub(super) struct Condition<'a> {
    /// There is one with this quoted etag; none of that name where it is missing.
    pub(super) is: Option<String>,
    pub(super) with: PutAs<'a>,
}

impl Condition<'_> {
    pub(super) fn none_match(&self) -> Option<String> {
        self.is.is_none().then(|| "*".to_owned())
    }

    pub(super) fn if_match(&self) -> Option<String> {
        self.is.clone()
    }

    pub(super) fn class(&self) -> Option<StorageClass> {
        self.with.class.map(StorageClass::from)
    }

    pub(super) fn lock_mode(&self) -> Option<ObjectLockMode> {
        self.with.lock.map(|(mode, _)| match mode {
            LockMode::Governance => ObjectLockMode::Governance,
            LockMode::Compliance => ObjectLockMode::Compliance,
        })
    }

    pub(super) fn lock_until(&self) -> Option<DateTime> {
        self.with.lock.map(|(_, until_ms)| DateTime::from_millis(until_ms))
    }
}

pub(super) fn class_of(key: &str, class: &str) -> Result<StorageClass, StoreError> {
    let unknown = |_| StoreError::NoClass { key: key.to_owned(), class: class.to_owned() };
    StorageClass::try_parse(class).map_err(unknown)
}

pub(super) const fn tier_of(speed: RestoreSpeed) -> Tier {
    match speed {
        RestoreSpeed::Bulk => Tier::Bulk,
        RestoreSpeed::Standard => Tier::Standard,
        RestoreSpeed::Expedited => Tier::Expedited,
    }
}

/// Whether an object has a lock or a hold, over or not.
pub(super) fn is_guarded(head: &HeadObjectOutput) -> bool {
    let held = head.object_lock_legal_hold_status == Some(ObjectLockLegalHoldStatus::On);
    held || head.object_lock_retain_until_date.is_some()
}

/// The version of an object in a bucket that keeps versions.
pub(super) fn version(id: Option<&str>) -> Option<&str> {
    id.filter(|id| *id != "null")
}
