//! Between the SDK's types and ours: faults, heads, restores, names.

use std::{error::Error, fmt::Write as _, io, time::Duration};

use aws_sdk_s3::{
    config::{
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction},
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_object::GetObjectOutput, head_object::HeadObjectOutput},
    primitives::{DateTime, DateTimeFormat},
    types::{Object, ObjectLockLegalHoldStatus, StorageClass},
};
use futures::{StreamExt, stream};

use crate::{ObjectHead, Restore, StoreError, error::chain, resume::Body, retry::RETRY_AFTER_MAX};

/// Classes whose objects must be restored before they are read.
const ARCHIVE_CLASSES: &[StorageClass] = &[StorageClass::Glacier, StorageClass::DeepArchive];

/// What is left of an SDK's error.
pub(super) struct Fault {
    pub(super) status: Option<u16>,
    pub(super) code: String,
    why: String,
}

impl Fault {
    pub(super) fn of_answer(why: &str) -> Self {
        Self { status: None, code: String::new(), why: why.to_owned() }
    }

    pub(super) fn of(self, key: &str) -> StoreError {
        match self.code.as_str() {
            "InvalidObjectState" => StoreError::Archived(key.to_owned()),
            "RestoreAlreadyInProgress" => StoreError::RestoreInProgress(key.to_owned()),
            "GlacierExpeditedRetrievalNotAvailable" => StoreError::NoExpedited(key.to_owned()),
            "ObjectLocked" => StoreError::Locked { key: key.to_owned(), why: self.why },
            "AccessDenied" | "MethodNotAllowed" if self.why.to_ascii_lowercase().contains("object lock") => {
                StoreError::Locked { key: key.to_owned(), why: self.why }
            }
            "InvalidBucketObjectLockConfiguration" | "ObjectLockConfigurationNotFoundError" => {
                StoreError::Unsupported { key: key.to_owned(), what: "object lock" }
            }
            "InvalidRequest" if self.why.contains("Object Lock") => {
                StoreError::Unsupported { key: key.to_owned(), what: "object lock" }
            }
            "NoSuchBucket" => StoreError::Config(self.why),
            "SlowDown" | "Throttling" | "RequestLimitExceeded" => {
                StoreError::Throttled { key: key.to_owned(), why: self.why }
            }
            _ => StoreError::of_status(key, self.status, self.why),
        }
    }
}

impl<E: Error + ProvideErrorMetadata + Send + Sync + 'static> From<SdkError<E>> for Fault {
    fn from(error: SdkError<E>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        let why = match error.message() {
            Some(message) => format!("{code}: {message}"),
            None => chain(&error),
        };
        // No credentials: nothing was sent.
        let unsigned = status.is_none() && why.contains("credentials");
        Self { status: if unsigned { Some(401) } else { status }, code, why }
    }
}

/// Makes the SDK wait as long as a `Retry-After` in seconds says; by itself it knows only
/// `x-amz-retry-after`.
#[derive(Debug)]
pub(super) struct RetryAfter;

impl ClassifyRetry for RetryAfter {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else { return RetryAction::NoActionIndicated };
        let seconds = response.headers().get("retry-after").and_then(|value| value.parse::<u64>().ok());
        match (response.status().as_u16(), seconds) {
            (429 | 503, Some(seconds)) => RetryAction::retryable_error_with_explicit_delay(
                aws_config::retry::ErrorKind::ThrottlingError,
                Duration::from_secs(seconds).min(RETRY_AFTER_MAX),
            ),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "Retry-After"
    }
}

pub(super) fn body(got: GetObjectOutput) -> Body {
    let pieces = stream::unfold(got.body, |mut body| async {
        let piece = body.next().await?;
        Some((piece.map_err(io::Error::other), body))
    });
    pieces.boxed()
}

pub(super) fn of_head(key: &str, head: &HeadObjectOutput) -> ObjectHead {
    let class = head.storage_class.clone().unwrap_or(StorageClass::Standard);
    let restore = match &head.restore {
        Some(text) => restore_of(text),
        None if head.archive_status.is_some() || ARCHIVE_CLASSES.contains(&class) => Restore::Archived,
        None => Restore::Online,
    };
    let etag = unquoted(head.e_tag.as_deref());
    ObjectHead {
        key: key.to_owned(),
        size: head.content_length.unwrap_or_default().unsigned_abs(),
        identity: etag.clone(),
        etag,
        modified_ms: head.last_modified.as_ref().map_or(0, millis),
        class: class.as_str().to_owned(),
        restore,
        locked_until_ms: head.object_lock_retain_until_date.as_ref().map(millis),
        held: head.object_lock_legal_hold_status == Some(ObjectLockLegalHoldStatus::On),
        encryption: head.ssekms_key_id.clone(),
    }
}

pub(super) fn of_listing(object: &Object) -> Option<ObjectHead> {
    let class = object.storage_class.as_ref().map_or("STANDARD", |class| class.as_str());
    let restore = match &object.restore_status {
        Some(status) if status.is_restore_in_progress == Some(true) => Restore::InProgress,
        Some(status) if status.restore_expiry_date.is_some() => {
            Restore::Until(status.restore_expiry_date.as_ref().map_or(0, millis))
        }
        _ if ARCHIVE_CLASSES.iter().any(|archive| archive.as_str() == class) => Restore::Archived,
        _ => Restore::Online,
    };
    let etag = unquoted(object.e_tag.as_deref());
    Some(ObjectHead {
        key: object.key.clone()?,
        size: object.size.unwrap_or_default().unsigned_abs(),
        identity: etag.clone(),
        etag,
        modified_ms: object.last_modified.as_ref().map_or(0, millis),
        class: class.to_owned(),
        restore,
        locked_until_ms: None,
        held: false,
        encryption: None,
    })
}

/// `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`
fn restore_of(text: &str) -> Restore {
    if text.contains(r#"ongoing-request="true""#) {
        return Restore::InProgress;
    }
    let date = text.split_once(r#"expiry-date=""#).and_then(|(_, rest)| rest.split('"').next());
    let until = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
    until.map_or(Restore::Archived, |until| Restore::Until(millis(&until)))
}

fn millis(time: &DateTime) -> i64 {
    time.to_millis().unwrap_or_default()
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

/// A name as it stands in a URL.
pub(super) fn encoded(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_is_read_from_its_header() {
        let cases = [
            (r#"ongoing-request="true""#, Restore::InProgress),
            (
                r#"ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT""#,
                Restore::Until(1_356_048_000_000),
            ),
            (r#"ongoing-request="false""#, Restore::Archived),
        ];
        for (header, restore) in cases {
            assert_eq!(restore_of(header), restore, "{header}");
        }
    }

    #[test]
    fn names_are_encoded_for_a_copy() {
        assert_eq!(encoded("a b+c/100%é"), "a%20b%2Bc/100%25%C3%A9");
    }
}
