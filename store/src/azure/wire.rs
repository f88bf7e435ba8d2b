//! Between the SDK's types and ours: heads, classes, times, faults.

use std::time::{SystemTime, UNIX_EPOCH};

use azure_core::{error::ErrorKind, http::Etag, time::OffsetDateTime};
use azure_storage_blob::models::{AccessTier, BlobItem, ImmutabilityPolicyMode};

use super::RESTORED;
use crate::{LockMode, ObjectHead, Restore, StoreError, error::chain};

pub(super) fn of_listing(item: BlobItem) -> Option<ObjectHead> {
    let properties = item.properties?;
    let name = item.name.filter(|name| !name.ends_with(RESTORED))?;
    let (locked, held, scope) =
        (properties.immutability_policy_expires_on, properties.legal_hold, properties.encryption_scope);
    let head = head_of(
        &name,
        properties.content_length,
        properties.etag.map(|etag| etag.to_string()),
        properties.creation_time,
        properties.last_modified,
        properties.access_tier.map(|tier| tier.to_string()),
        properties.archive_status.is_some(),
    );
    Some(head.guarded(locked, held, scope))
}

impl ObjectHead {
    pub(super) fn guarded(
        self,
        locked: Option<OffsetDateTime>,
        held: Option<bool>,
        scope: Option<String>,
    ) -> Self {
        Self {
            locked_until_ms: locked.map(|time| time.unix_timestamp() * 1000),
            held: held == Some(true),
            encryption: scope,
            ..self
        }
    }
}

pub(super) fn copy_name(key: &str) -> String {
    format!("{key}{RESTORED}")
}

pub(super) fn tier_of(key: &str, class: &str) -> Result<AccessTier, StoreError> {
    match class.parse::<AccessTier>() {
        Ok(AccessTier::UnknownValue(_)) | Err(_) => {
            Err(StoreError::NoClass { key: key.to_owned(), class: class.to_owned() })
        }
        Ok(tier) => Ok(tier),
    }
}

pub(super) const fn policy_mode(mode: LockMode) -> ImmutabilityPolicyMode {
    match mode {
        LockMode::Governance => ImmutabilityPolicyMode::Unlocked,
        LockMode::Compliance => ImmutabilityPolicyMode::Locked,
    }
}

pub(super) fn time(key: &str, ms: i64) -> Result<OffsetDateTime, StoreError> {
    let time = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000));
    time.map_err(|error| StoreError::failed(key, error))
}

pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// A container without version-level immutability knows neither locks nor holds.
pub(super) fn unsupported(error: StoreError, what: &'static str) -> StoreError {
    match error {
        StoreError::Precondition(key) => StoreError::Unsupported { key, what },
        other => other,
    }
}

pub(super) fn head_of(
    key: &str,
    size: Option<u64>,
    etag: Option<String>,
    created: Option<OffsetDateTime>,
    modified: Option<OffsetDateTime>,
    class: Option<String>,
    rehydrating: bool,
) -> ObjectHead {
    let millis = |time: Option<OffsetDateTime>| time.map_or(0, |time| time.unix_timestamp() * 1000);
    let class = class.unwrap_or_default();
    let archived = class == AccessTier::Archive.as_ref();
    ObjectHead {
        key: key.to_owned(),
        size: size.unwrap_or_default(),
        etag: etag.unwrap_or_default().trim_matches('"').to_owned(),
        identity: millis(created).to_string(),
        modified_ms: millis(modified),
        class,
        restore: match (rehydrating, archived) {
            (true, _) => Restore::InProgress,
            (false, true) => Restore::Archived,
            (false, false) => Restore::Online,
        },
        locked_until_ms: None,
        held: false,
        encryption: None,
    }
}

pub(super) fn quoted(etag: &str) -> Etag {
    Etag::from(format!("\"{etag}\""))
}

pub(super) fn fault(key: &str, error: &azure_core::Error) -> StoreError {
    let status = error.http_status().map(u16::from);
    let why = chain(error);
    match error.kind() {
        ErrorKind::HttpResponse { error_code: Some(code), .. } => match code.as_str() {
            "BlobArchived" | "BlobBeingRehydrated" => StoreError::Archived(key.to_owned()),
            "ContainerNotFound" | "ContainerBeingDeleted" | "ContainerDisabled" => StoreError::Config(why),
            "BlobImmutableDueToPolicy" | "BlobImmutableDueToLegalHold" => {
                StoreError::Locked { key: key.to_owned(), why }
            }
            "CannotVerifyCopySource" => StoreError::Denied { key: key.to_owned(), why },
            "ServerBusy" => StoreError::Throttled { key: key.to_owned(), why },
            _ => StoreError::of_status(key, status, why),
        },
        ErrorKind::Credential => StoreError::of_status(key, Some(401), why),
        _ => StoreError::of_status(key, status, why),
    }
}
