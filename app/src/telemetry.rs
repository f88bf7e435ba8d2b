//! Logs go to standard error; `LINCHPIN_LOG` takes a filter such as `info,linchpin_tiering=debug`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging: warnings, more with each `-v`.
pub(crate) fn init(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let ours = format!(
        "error,linchpin={level},linchpin_ingest={level},linchpin_tiering={level},linchpin_integration={level}"
    );
    let filter = EnvFilter::try_from_env("LINCHPIN_LOG").unwrap_or_else(|_| EnvFilter::new(ours));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
