//! Which workers of this machine are alive: each holds a lock on a file for as long as it lives, and
//! the system lets go of it when the process ends, however it ends.
//!
//! The files of a lake in a folder lie in that folder, so that processes which share it see each
//! other. A lake in a bucket has no locks: its files lie on this machine, below the folder for the
//! state of programs, and tell about workers of this machine only. Any other worker is known by how
//! long it has been idle.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use linchpin_config::Place;
use xxhash_rust::xxh3::xxh3_64;

/// The presence files of one lake.
#[derive(Debug)]
pub(crate) struct Presence {
    folder: PathBuf,
    /// Without it, workers are judged by idleness alone.
    optional: bool,
}

impl Presence {
    pub(crate) fn of(lake: &Place) -> Self {
        if let Some(folder) = lake.as_folder() {
            return Self { folder: folder.join("workers"), optional: false };
        }
        let lake = format!("{:016x}", xxh3_64(lake.to_string().as_bytes()));
        Self { folder: state_folder().join("linchpin/workers").join(lake), optional: true }
    }

    /// Marks `worker` as alive for as long as the file is held. `None` where the machine keeps no
    /// state: then nobody can tell at once that the worker is gone.
    pub(crate) fn hold(&self, worker: &str) -> io::Result<Option<File>> {
        let held = fs::create_dir_all(&self.folder)
            .and_then(|()| File::create(self.path(worker)))
            .and_then(|file| file.lock().map(|()| file));
        match held {
            Ok(file) => Ok(Some(file)),
            Err(error) if self.optional => {
                tracing::info!(%error, folder = %self.folder.display(), "no file tells that this worker lives");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a worker of this machine is certainly gone.
    pub(crate) fn is_gone(&self, worker: &str) -> bool {
        File::open(self.path(worker)).is_ok_and(|file| file.try_lock().is_ok())
    }

    /// Removes the file of a worker whose lanes are closed.
    pub(crate) fn forget(&self, worker: &str) {
        if let Err(error) = fs::remove_file(self.path(worker)) {
            tracing::debug!(worker, %error, "presence file was not there");
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, worker: &str) -> PathBuf {
        self.folder.join(worker)
    }
}

/// Where programs keep what need not move to another machine.
pub(crate) fn state_folder() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_worker_is_gone_when_nothing_holds_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let presence = Presence::of(&Place::Folder(dir.path().join("lake")));
        assert!(!presence.is_gone("a"), "unknown here: only idleness tells");
        let held = presence.hold("a").unwrap().unwrap();
        assert!(!presence.is_gone("a"));
        drop(held);
        assert!(presence.is_gone("a"));
        presence.forget("a");
        assert!(!presence.is_gone("a"));
    }

    #[test]
    fn buckets_have_folders_of_their_own_on_this_machine() {
        let bucket = |prefix: &str| Place::Gcs { bucket: "b".to_owned(), prefix: prefix.to_owned() };
        let (one, two) = (Presence::of(&bucket("one")), Presence::of(&bucket("two")));
        assert!(one.folder.is_absolute());
        assert_ne!(one.folder, two.folder);
        // A file in the way of the folder: the worker goes on without.
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("workers"), "").unwrap();
        let blocked = Presence { folder: dir.path().join("workers"), optional: true };
        assert!(blocked.hold("a").unwrap().is_none());
        assert!(Presence { optional: false, ..blocked }.hold("a").is_err());
    }
}
