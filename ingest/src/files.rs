//! A folder as a source, walked in the order of its paths.
//!
//! Everything below the folder is taken except what is hidden (`.name`) or still being written
//! (`name.tmp`, `name.part`). Symbolic links are passed over: what they name inside the folder is
//! found by itself, what lies outside is not the feed's. So are pipes, sockets, devices and names
//! that are not UTF-8, each with a warning. The folder may also be a single file.
//!
//! Identity is `file://<absolute path>#<size>,<mtime in ns>`: a file that is written again is a new
//! object. It is for files that are complete when they appear or are renamed into place.
//!
//! Memory: the names of one page of each directory on the current path, at most
//! [`DIRECTORY_PAGE`] names each. A larger directory is read several times, a page of names at a time.

use std::{
    collections::BinaryHeap,
    ffi::OsString,
    fs::{self, File, FileType, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;

use crate::{Body, Candidate, IngestError, Source};

/// Names of one directory held at a time.
const DIRECTORY_PAGE: usize = 64 << 10;
/// Ends of names that are still being written.
const TEMPORARY: &[&str] = &[".tmp", ".part"];

/// The files below one folder, pass after pass.
#[derive(Debug)]
pub struct FileSource {
    walk: Arc<Mutex<Walk>>,
}

impl FileSource {
    /// A source over `root`, a folder or a single file; it must exist.
    pub fn new(root: &Path) -> Result<Self, IngestError> {
        Self::paged(root, DIRECTORY_PAGE)
    }

    fn paged(root: &Path, page: usize) -> Result<Self, IngestError> {
        let root = fs::canonicalize(root).map_err(|e| cannot_list(root, e))?;
        Ok(Self { walk: Arc::new(Mutex::new(Walk { root, page, open: Vec::new(), in_pass: false })) })
    }
}

#[async_trait]
impl Source for FileSource {
    async fn next(&self, max: usize) -> Result<Vec<Candidate>, IngestError> {
        let walk = self.walk.clone();
        blocking(move || walk.lock().unwrap_or_else(PoisonError::into_inner).next(max)).await
    }

    async fn open(&self, candidate: &Candidate) -> Result<Box<dyn Body>, IngestError> {
        let candidate = candidate.clone();
        blocking(move || open(&candidate)).await
    }
}

/// Runs file system calls, which may block, off the caller's thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, IngestError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(cannot_list(Path::new("folder"), io::Error::other(e))),
    }
}

fn cannot_list(place: &Path, source: io::Error) -> IngestError {
    IngestError::List { place: place.display().to_string(), source }
}

/// A depth-first walk that can stop after any file.
#[derive(Debug)]
struct Walk {
    root: PathBuf,
    page: usize,
    /// The directories on the current path, outermost first.
    open: Vec<Directory>,
    in_pass: bool,
}

impl Walk {
    fn next(&mut self, max: usize) -> Result<Vec<Candidate>, IngestError> {
        let mut found = Vec::new();
        if !self.in_pass {
            let meta = fs::symlink_metadata(&self.root).map_err(|e| cannot_list(&self.root, e))?;
            if meta.is_dir() {
                let root = Directory::read(self.root.clone(), self.page);
                self.open.push(root.map_err(|e| cannot_list(&self.root, e))?);
            } else {
                found.extend(candidate(&self.root, &meta));
            }
            self.in_pass = true;
        }
        while found.len() < max.max(1) {
            let Some(directory) = self.open.last_mut() else { break };
            match directory.next(self.page) {
                Ok(Some(Entry::Directory(path))) => match Directory::read(path.clone(), self.page) {
                    Ok(inner) => self.open.push(inner),
                    Err(e) => skip(&path, &e.to_string()),
                },
                Ok(Some(Entry::File(path))) => match fs::symlink_metadata(&path) {
                    Ok(meta) => found.extend(candidate(&path, &meta)),
                    // Removed since its directory was read.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => skip(&path, &e.to_string()),
                },
                Ok(None) => {
                    self.open.pop();
                }
                Err(e) => {
                    skip(&directory.path, &e.to_string());
                    self.open.pop();
                }
            }
        }
        self.in_pass = !found.is_empty();
        Ok(found)
    }
}

fn skip(path: &Path, why: &str) {
    tracing::warn!(path = %path.display(), why, "skipped");
}

enum Entry {
    Directory(PathBuf),
    File(PathBuf),
}

/// One directory: the names that come next, in order.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Descending, so that the next is the last. Directories end in `/`, which sorts the files
    /// by their whole paths, as an object store would.
    names: Vec<OsString>,
    /// There were more names than a page; they come after this one.
    more_after: Option<OsString>,
}

impl Directory {
    fn read(path: PathBuf, page: usize) -> io::Result<Self> {
        let mut directory = Self { path, names: Vec::new(), more_after: None };
        directory.read_page(None, page)?;
        Ok(directory)
    }

    /// Reads the first `page` names that come after `after`.
    fn read_page(&mut self, after: Option<&OsString>, page: usize) -> io::Result<()> {
        let mut first = BinaryHeap::new();
        let mut more = false;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // Removed since the directory was opened.
            let Ok(file_type) = entry.file_type() else { continue };
            let mut name = entry.file_name();
            let Some(kind) = wanted(&name, file_type) else {
                if after.is_none() {
                    self.report(&name, file_type);
                }
                continue;
            };
            if kind == Kind::Directory {
                name.push("/");
            }
            if after.is_some_and(|after| name <= *after) {
                continue;
            }
            first.push(name);
            if first.len() > page.max(1) {
                first.pop();
                more = true;
            }
        }
        let mut names = first.into_sorted_vec();
        self.more_after = names.last().filter(|_| more).cloned();
        names.reverse();
        self.names = names;
        Ok(())
    }

    fn next(&mut self, page: usize) -> io::Result<Option<Entry>> {
        if self.names.is_empty()
            && let Some(after) = self.more_after.take()
        {
            self.read_page(Some(&after), page)?;
        }
        Ok(self.names.pop().map(|name| {
            let path = self.path.join(&name);
            let is_directory = name.as_encoded_bytes().ends_with(b"/");
            if is_directory { Entry::Directory(path) } else { Entry::File(path) }
        }))
    }

    /// Warns about what nobody would expect to be left out.
    fn report(&self, name: &OsString, file_type: FileType) {
        if name.to_str().is_none() {
            skip(&self.path.join(name), "its name is not UTF-8");
        } else if !file_type.is_file() && !file_type.is_dir() && !file_type.is_symlink() {
            skip(&self.path.join(name), "neither a file nor a directory");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
}

fn wanted(name: &OsString, file_type: FileType) -> Option<Kind> {
    let name = name.to_str().filter(|name| !name.starts_with('.'))?;
    if file_type.is_dir() {
        return Some(Kind::Directory);
    }
    let complete = !TEMPORARY.iter().any(|end| name.ends_with(end));
    (file_type.is_file() && complete).then_some(Kind::File)
}

/// Size and modification time: what tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified_ns: i128,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        let modified = meta.modified().unwrap_or(UNIX_EPOCH);
        Self { size: meta.len(), modified_ns: ns_since_epoch(modified) }
    }

    fn object(&self, path: &str) -> Arc<str> {
        format!("file://{path}#{},{}", self.size, self.modified_ns).into()
    }
}

fn ns_since_epoch(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// The candidate for a regular file; `None` for anything else.
fn candidate(path: &Path, meta: &Metadata) -> Option<Candidate> {
    let key = path.to_str().filter(|_| meta.is_file())?;
    let stamp = Stamp::of(meta);
    Some(Candidate {
        object: stamp.object(key),
        key: key.into(),
        size: stamp.size,
        modified_ms: stamp.modified_ns.div_euclid(1_000_000) as i64,
        lease: None,
    })
}

fn open(candidate: &Candidate) -> Result<Box<dyn Body>, IngestError> {
    let missing =
        |e: io::Error| IngestError::Missing { object: candidate.object.clone(), why: e.to_string() };
    let changed = || IngestError::Changed { object: candidate.object.clone() };
    let path = Path::new(&*candidate.key);
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if !fs::symlink_metadata(path).map_err(missing)?.is_file() {
        return Err(changed());
    }
    let file = File::open(path).map_err(missing)?;
    let stamp = Stamp::of(&file.metadata().map_err(missing)?);
    if stamp.object(&candidate.key) != candidate.object {
        return Err(changed());
    }
    Ok(Box::new(FileBody { file, stamp }))
}

struct FileBody {
    file: File,
    stamp: Stamp,
}

impl Read for FileBody {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf)
    }
}

impl Body for FileBody {
    fn is_unchanged(&mut self) -> bool {
        self.file.metadata().is_ok_and(|meta| Stamp::of(&meta) == self.stamp)
    }
}

#[cfg(test)]
mod tests;
