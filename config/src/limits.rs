//! Limits: how much a process may take.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::checks::Checks;
use crate::located::Located;
use crate::values::{ByteSize, DurationText};

/// Most worker threads.
const THREADS_MAX: u32 = 1024;
/// Least memory a process can work in.
const MEMORY_MIN: ByteSize = ByteSize(128 << 20);

/// How much a process may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of the process.
    pub memory: Located<ByteSize>,
    /// When an epoch closes.
    pub flush: Flush,
    /// Worker threads.
    pub threads: Located<u32>,
}

/// An epoch closes when its builders reach either of these.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flush {
    /// Raw bytes of all builders together.
    pub bytes: Located<ByteSize>,
    /// Age of the oldest event.
    pub age: Located<DurationText>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: unwritten(ByteSize(512 << 20)), flush: Flush::default(), threads: unwritten(1) }
    }
}

impl Default for Flush {
    fn default() -> Self {
        Self { bytes: unwritten(ByteSize(64 << 20)), age: unwritten(DurationText::from_secs(15)) }
    }
}

/// A default: it stands nowhere in the file.
fn unwritten<T>(value: T) -> Located<T> {
    Located { value, span: crate::diagnostic::Span::default() }
}

impl Limits {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        let (memory, bytes, threads) = (self.memory.value, self.flush.bytes.value, self.threads.value);
        if memory < MEMORY_MIN {
            let message = format!("a memory limit of `{memory}` is too small");
            let hint = Some(format!("give it at least `{MEMORY_MIN}`"));
            checks.refuse(self.memory.span, &memory.to_string(), message, hint);
        } else if bytes.0 == 0 || bytes > memory {
            let message = format!("`flush.bytes` of `{bytes}` is not between 1 byte and the memory limit");
            let hint = Some(format!("the memory limit is `{memory}`"));
            // One of the two is written: the defaults agree with each other.
            let span = self.flush.bytes.span.max(self.memory.span);
            checks.refuse(span, &bytes.to_string(), message, hint);
        }
        if self.flush.age.value.0.is_zero() {
            let hint = Some("write at least `1s`".to_owned());
            checks.refuse(self.flush.age.span, "0", "`flush.age` is zero".to_owned(), hint);
        }
        if !(1..=THREADS_MAX).contains(&threads) {
            let message = format!("`{threads}` is not a number of threads");
            let hint = Some(format!("write 1 to {THREADS_MAX}"));
            checks.refuse(self.threads.span, &threads.to_string(), message, hint);
        }
    }
}
