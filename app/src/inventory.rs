//! What rules see beside events: read when the program starts, and by a service again when a file changes.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use linchpin_config::{ConfigError, ContextFiles};
use linchpin_tiering::policy::Risk;

/// How often a service looks whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The tables of a configuration's files.
pub(crate) fn load(files: &ContextFiles) -> Result<Risk, ConfigError> {
    Ok(Risk::new(&files.load()?))
}

/// Replaces the tables whenever a file changes, until `stopping`. A file that cannot be read leaves the
/// tables as they are.
pub(crate) async fn watch(files: &ContextFiles, risk: &Risk, stopping: impl Fn() -> bool) {
    let mut seen = stamps(files);
    while !stopping() && !seen.is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = stamps(files);
        if now == seen {
            continue;
        }
        match files.load() {
            Ok(inventory) => {
                risk.replace(&inventory);
                tracing::info!("the context of the retention rules was read again");
                seen = now;
            }
            Err(error) => {
                tracing::warn!(%error, "the context cannot be read again; the last one stays in force");
            }
        }
    }
}

/// When each file was written, and its size.
fn stamps(files: &ContextFiles) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    let stamp = |path: &std::path::Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    files.paths().map(|path| (path.to_owned(), stamp(path))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use linchpin_config::LocalPath;

    use super::*;

    #[test]
    fn a_changed_file_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.csv");
        let files = ContextFiles { accounts: Some(LocalPath(path.clone())), ..ContextFiles::default() };
        let missing = stamps(&files);
        std::fs::write(&path, "account,criticality\n1,high\n").unwrap();
        let first = stamps(&files);
        std::fs::write(&path, "account,criticality\n1,high\n2,low\n").unwrap();
        assert!(missing != first && first != stamps(&files));
        assert!(stamps(&ContextFiles::default()).is_empty());
    }
}
