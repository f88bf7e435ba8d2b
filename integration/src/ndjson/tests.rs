#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::contract::{COMMITTED_MS, Subject, delivery, events, keeps_contract, texts};

struct Folder(NdjsonOutput, tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = NdjsonTarget::Folder(folder.path().join("out"));
        Self(NdjsonOutput::new("files", &target).unwrap(), folder)
    }

    fn out(&self) -> PathBuf {
        self.1.path().join("out")
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.out())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|day| !day.ends_with(PARTIAL))
            .flat_map(|day| fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()))
            .collect();
        files.sort();
        files
    }
}

impl Subject for Folder {
    fn output(&self) -> &dyn Output {
        &self.0
    }

    fn received(&self) -> Vec<String> {
        let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
        self.files().iter().map(text).flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Stream(NdjsonOutput, Memory);

impl Subject for Stream {
    fn output(&self) -> &dyn Output {
        &self.0
    }

    fn received(&self) -> Vec<String> {
        String::from_utf8(self.1.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }

    fn drops_repeats(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    keeps_contract(&Folder::new(), "files", "hunter2").await;
}

#[tokio::test]
async fn a_stream_keeps_the_contract() {
    let memory = Memory::default();
    let output = NdjsonOutput::to_stream("lines", memory.clone());
    keeps_contract(&Stream(output, memory), "lines", "hunter2").await;
}

#[tokio::test]
async fn files_are_named_by_day_worker_and_step_and_leave_nothing_behind() {
    let folder = Folder::new();
    let some = events("W1", 12, 3);
    for _ in 0..2 {
        folder.0.deliver(&delivery("W1", 12, &some)).await.map(drop).unwrap();
    }
    let file = folder.out().join("2024-05-06/W1-0000000012.ndjson");
    assert_eq!(folder.files(), std::slice::from_ref(&file));
    assert_eq!(fs::read_to_string(&file).unwrap(), texts(&some).join("\n") + "\n");
    assert_eq!(fs::read_dir(folder.out().join(PARTIAL)).unwrap().count(), 0);
    assert_ne!(fs::metadata(&file).unwrap().permissions().mode() & 0o044, 0, "others cannot read it");
    // Another day's commit is another folder, however late the repeat.
    let late = Delivery { committed_ms: COMMITTED_MS + 86_400_000, ..delivery("W1", 13, &some) };
    folder.0.deliver(&late).await.map(drop).unwrap();
    assert!(folder.out().join("2024-05-07/W1-0000000013.ndjson").is_file());
}

#[tokio::test]
async fn a_failed_write_leaves_the_file_that_was_there() {
    let folder = Folder::new();
    let some = events("A", 1, 3);
    folder.0.deliver(&delivery("A", 1, &some)).await.map(drop).unwrap();
    // A file where the folder for partial files should be: nothing can be written.
    fs::remove_dir(folder.out().join(PARTIAL)).unwrap();
    fs::write(folder.out().join(PARTIAL), "").unwrap();
    let error = folder.0.deliver(&delivery("A", 1, &events("A", 1, 9))).await.unwrap_err();
    assert!(matches!(error, OutputError::Configuration { .. }), "{error}");
    assert_eq!(folder.received(), texts(&some));
}

#[test]
fn what_a_crash_left_is_removed_once_it_is_old() {
    let folder = Folder::new();
    let partial = folder.out().join(PARTIAL);
    let left = partial.join("A-0000000001abc.ndjson");
    fs::write(&left, "{}").unwrap();
    sweep(&partial, SystemTime::now()).unwrap();
    assert!(left.is_file());
    sweep(&partial, SystemTime::now() + PARTIAL_AGE_MAX + Duration::from_mins(1)).unwrap();
    assert!(!left.exists());
}

#[test]
fn errors_decide_whether_to_wait() {
    let stops = |kind: io::ErrorKind| {
        matches!(io_error(Path::new("out"), &kind.into()), OutputError::Configuration { .. })
    };
    assert!(stops(io::ErrorKind::PermissionDenied) && stops(io::ErrorKind::BrokenPipe));
    assert!(!stops(io::ErrorKind::StorageFull) && !stops(io::ErrorKind::Interrupted));
}
