//! What is wrong with a predicate or a policy, and where.

use std::fmt;

/// Why a predicate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PredicateError {
    /// What is wrong, with the offending text in backticks.
    pub message: String,
    /// First offending byte of the predicate, where it is known.
    pub offset: Option<usize>,
    /// How to mend it.
    pub hint: Option<String>,
}

impl PredicateError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), offset: None, hint: None }
    }

    pub(super) fn at(mut self, offset: Option<usize>) -> Self {
        self.offset = offset;
        self
    }

    pub(super) fn hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }
}

impl fmt::Display for PredicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(offset) = self.offset {
            write!(f, " (at byte {offset})")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Which part of a policy is wrong; the number is its index in the lists that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyPlace {
    /// The policy as a whole.
    Policy,
    /// A class.
    Class(usize),
    /// A rule's name or class.
    Rule(usize),
    /// A rule's predicate; `error.offset` counts in its text.
    When(usize),
}

/// One fault of a retention policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct PolicyFault {
    /// Where it is.
    pub place: PolicyPlace,
    /// What it is.
    pub error: PredicateError,
}
