#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs::OpenOptions, io::Write, os::unix};

use super::*;
use crate::contract::{self, Shelf, pass, read};

fn write(root: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

struct Folder(tempfile::TempDir);

#[async_trait]
impl Shelf for Folder {
    async fn write(&self, name: &str, bytes: &[u8]) {
        write(self.0.path(), name, bytes);
    }
    async fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).unwrap();
    }
    fn key(&self, name: &str) -> String {
        fs::canonicalize(self.0.path()).unwrap().join(name).to_str().unwrap().to_owned()
    }
    fn source(&self) -> Box<dyn Source> {
        Box::new(FileSource::new(self.0.path()).unwrap())
    }
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    contract::check(&Folder(tempfile::tempdir().unwrap())).await;
}

#[tokio::test]
async fn a_listing_is_sorted_complete_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let mut expected: Vec<String> =
        ["a-b.log", "a.log", "a/1.gz", "a/b/c/2", "a/b/c-3", "ab", "b/x", "b y", "é/#1"]
            .into_iter()
            .map(String::from)
            .chain((0..40).map(|n| format!("many/{n}.json")))
            .map(|name| write(&root, &name, name.as_bytes()).to_str().unwrap().to_owned())
            .collect();
    for unwanted in [".hidden", ".git/config", "a/x.tmp", "a/y.part"] {
        write(&root, unwanted, b"no");
    }
    fs::create_dir(root.join("empty")).unwrap();
    expected.sort_unstable();

    for (page, max) in [(DIRECTORY_PAGE, 1000), (DIRECTORY_PAGE, 1), (1, 7), (3, 1), (7, 10)] {
        let source = FileSource::paged(&root, page).unwrap();
        for _ in 0..2 {
            let keys: Vec<_> = pass(&source, max).await.into_iter().map(|c| c.key.to_string()).collect();
            assert_eq!(keys, expected, "directory page {page}, page {max}");
        }
    }
}

#[tokio::test]
async fn a_directory_costs_one_page_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    (0..100).for_each(|n| drop(write(dir.path(), &n.to_string(), b"")));
    let source = FileSource::paged(dir.path(), 8).unwrap();
    let mut listed = 0;
    while !source.next(1).await.unwrap().is_empty() {
        listed += 1;
        let walk = source.walk.lock().unwrap();
        assert!(walk.open.iter().all(|d| d.names.len() <= 8));
    }
    assert_eq!(listed, 100);
}

#[tokio::test]
async fn links_and_special_files_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let secret = write(outside.path(), "secret", b"no");
    write(dir.path(), "a/log", b"yes");
    unix::fs::symlink(&secret, dir.path().join("link")).unwrap();
    unix::fs::symlink(outside.path(), dir.path().join("links")).unwrap();
    unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
    let _socket = unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();

    let source = FileSource::new(dir.path()).unwrap();
    let found = pass(&source, 10).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].key.ends_with("a/log"));

    // Swapped for a link after it was listed.
    fs::remove_file(&*found[0].key).unwrap();
    unix::fs::symlink(&secret, &*found[0].key).unwrap();
    assert!(matches!(source.open(&found[0]).await, Err(IngestError::Changed { .. })));
}

#[tokio::test]
async fn a_single_file_is_a_source_and_its_versions_are_objects() {
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(write(dir.path(), "one.json", b"{}\n")).unwrap();
    let source = FileSource::new(&path).unwrap();
    let first = pass(&source, 10).await;
    let meta = fs::metadata(&path).unwrap();
    let ns = meta.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    assert_eq!(*first[0].object, format!("file://{}#3,{ns}", path.display()));
    assert_eq!(first[0].modified_ms, (ns / 1_000_000) as i64);
    assert_eq!(pass(&source, 10).await, first);
    write(dir.path(), "one.json", b"{}\n{}\n");
    assert_ne!(pass(&source, 10).await[0].object, first[0].object);
}

#[tokio::test]
async fn a_file_that_changes_is_left_for_the_next_pass() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a", b"one\n");
    let source = FileSource::new(dir.path()).unwrap();
    let append = async || OpenOptions::new().append(true).open(&path).unwrap().write_all(b"two\n").unwrap();

    let listed = pass(&source, 10).await;
    assert_eq!(read(&source, &listed[0], async || ()).await.unwrap(), b"one\n");
    let while_read = read(&source, &listed[0], append).await;
    assert!(matches!(while_read, Err(IngestError::Changed { .. })), "{while_read:?}");
    let before_open = read(&source, &listed[0], async || ()).await;
    assert!(matches!(before_open, Err(IngestError::Changed { .. })), "{before_open:?}");

    let again = pass(&source, 10).await;
    assert_eq!(read(&source, &again[0], async || ()).await.unwrap(), b"one\ntwo\n");
    fs::remove_file(&path).unwrap();
    let gone = read(&source, &again[0], async || ()).await;
    assert!(matches!(gone, Err(IngestError::Missing { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let error = FileSource::new(Path::new("/no/such/folder")).unwrap_err().to_string();
    assert!(error.starts_with("cannot list `/no/such/folder`: "), "{error}");
}
