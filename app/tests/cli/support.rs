//! Runs the binary in a folder of its own.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes that a service is waited for.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a call gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Standard output as one JSON value, of a call that succeeded.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        self.ok();
        serde_json::from_slice(&self.out).unwrap()
    }

    /// Standard output as one JSON value a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The call must have succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> &Self {
        assert_eq!(self.code, 0, "{}\n{}", String::from_utf8_lossy(&self.out), self.err);
        self
    }

    /// The call must have ended so.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, out: &str, err: &str) {
        assert_eq!((self.code, self.text(), self.err.as_str()), (code, out, err));
    }
}

/// A folder to work in.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Runs linchpin here.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, b"")
    }

    /// Runs linchpin here with this standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linchpin"));
        ran(command.args(args).current_dir(self.path()), input)
    }

    /// Runs a line of shell here.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        ran(Command::new("sh").args(["-c", line]).current_dir(self.path()), b"")
    }
}

fn ran(command: &mut Command, input: &[u8]) -> Ran {
    command.env_remove("LINCHPIN_LOG").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let Output { status, stdout, stderr } = std::thread::scope(|scope| {
        // A program that does not read its input is no failure of the test.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    });
    Ran { code: status.code().unwrap(), out: stdout, err: String::from_utf8(stderr).unwrap() }
}

/// The files below a folder: path from there, and content.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// One gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let len = compressor.gzip_compress(bytes, &mut out).unwrap();
    out.truncate(len);
    out
}

/// Content of a file that may be one gzip member.
pub(crate) fn inflated(bytes: &[u8]) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes.to_vec();
    }
    let size = u32::from_le_bytes(*bytes.last_chunk().unwrap()) as usize;
    let mut out = vec![0; size];
    libdeflater::Decompressor::new().gzip_decompress(bytes, &mut out).unwrap();
    out
}

/// A service that is stopped when it goes out of scope.
pub(crate) struct Service<'f> {
    folder: &'f Folder,
    child: Child,
}

impl<'f> Service<'f> {
    pub(crate) fn start(folder: &'f Folder, config: &str) -> Self {
        let log = fs::File::create(folder.path().join("service.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_linchpin"))
            .args(["run", "-c", config])
            .env("LINCHPIN_LOG", "info")
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { folder, child }
    }

    /// Waits until something holds.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let since = Instant::now();
        while !holds() {
            let log = fs::read_to_string(self.folder.path().join("service.log")).unwrap();
            assert!(since.elapsed() < PATIENCE, "{what} did not come about:\n{log}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until the service has said something so many times.
    #[track_caller]
    pub(crate) fn says(&self, words: &str, times: usize) {
        let log = self.folder.path().join("service.log");
        self.wait(words, || fs::read_to_string(&log).unwrap().matches(words).count() >= times);
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
