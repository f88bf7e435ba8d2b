//! Exit codes: 0 done, 1 found a problem, 2 wrong usage or configuration, 3 environment.

use std::fmt;

use linchpin_config::{ConfigError, Diagnostics};

/// A failure with its exit code; found again in the chain of an `anyhow` error.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// The command worked and found something wrong: exit code 1.
    pub(crate) fn problem(error: impl Into<anyhow::Error>) -> anyhow::Error {
        anyhow::Error::new(Self { code: 1, error: error.into() })
    }

    /// Wrong usage or configuration: exit code 2.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
        anyhow::Error::new(Self { code: 2, error: error.into() })
    }

    /// Something around the program failed: exit code 3.
    pub(crate) fn environment(error: impl Into<anyhow::Error>) -> anyhow::Error {
        anyhow::Error::new(Self { code: 3, error: error.into() })
    }

    /// The exit code of an error; what says nothing else is the environment's fault.
    pub(crate) fn code(error: &anyhow::Error) -> u8 {
        error.downcast_ref::<Self>().map_or(3, |failure| failure.code)
    }

    /// An error as a person reads it. Diagnostics begin with `file:line:col`, as editors want it.
    pub(crate) fn shown(error: &anyhow::Error) -> String {
        let diagnostics = error.downcast_ref::<Self>().is_some_and(|failure| {
            let config = failure.error.downcast_ref::<ConfigError>();
            failure.error.is::<Diagnostics>() || matches!(config, Some(ConfigError::Invalid(_)))
        });
        if diagnostics { error.to_string() } else { format!("error: {error:#}") }
    }
}
