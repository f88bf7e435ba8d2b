//! A lake, worked on through the program's command line only.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use serde_json::Value;

/// Three retention classes.
const CONFIG: &str = r#"
lake: LAKE
archives: ARCHIVES
feeds: [FEEDS]
stores: STORES
retention:
  classes:
    critical: { hot: 400d, archive: TIER, expire: 7y }
    standard: { hot: 90d, archive: TIER, expire: 3y }
    bulk: { hot: 90d, archive: TIER, expire: 400d }
  rules:
    - { name: identity, when: "class_uid IN (3001, 3002, 3005)", class: critical }
    - { name: reads and internal flows, when: "api_operation LIKE 'Describe%' OR (src_is_internal AND dst_is_internal)", class: bulk }
    - { name: everything else, class: standard }
limits: { threads: THREADS, flush: { bytes: FLUSH, age: 15s } }
"#;

/// What `run --json` prints, as far as the tests ask.
#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Summary {
    pub units: u64,
    pub raw_events: u64,
    pub events: u64,
    pub segments: u64,
}

/// What differs between lakes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub threads: u32,
    /// An epoch closes at this size.
    pub flush: &'a str,
    /// The list of outputs, as the configuration has it.
    pub outputs: &'a str,
    /// Where ledger and hot table are.
    pub lake: &'a str,
    /// The archives, as the configuration has them.
    pub archives: &'a str,
    /// How buckets are reached, as the configuration has it.
    pub stores: &'a str,
    /// What all retention classes have for `archive`.
    pub tier: &'a str,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            threads: 1,
            flush: "64KiB",
            outputs: "[]",
            lake: "./lake",
            archives: "{ default: ./archive }",
            stores: "{}",
            tier: "{ class: standard }",
        }
    }
}

/// What a call gave.
pub(crate) struct Ran {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

/// A folder with a configuration, whose relative paths start there.
pub(crate) struct Lake {
    pub folder: PathBuf,
}

impl Lake {
    /// A lake in a new `folder` with these feeds (name and folder).
    pub(crate) fn new(folder: PathBuf, feeds: &[(&str, &Path)], settings: Settings<'_>) -> Self {
        let feed = |(name, from): &(&str, &Path)| {
            format!("{{ name: {name}, from: {{ files: \"{}\" }} }}", from.display())
        };
        let feeds = feeds.iter().map(feed).collect::<Vec<_>>().join(", ");
        Self::with_feeds(folder, &feeds, settings)
    }

    /// A lake with the feeds that a configuration has between brackets.
    pub(crate) fn with_feeds(folder: PathBuf, feeds: &str, settings: Settings<'_>) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let Settings { threads, flush, outputs, lake, archives, stores, tier } = settings;
        let threads = threads.to_string();
        let mut config = format!("{CONFIG}outputs: {outputs}\n").replace("TIER", tier);
        let values = [
            ("LAKE", lake),
            ("ARCHIVES", archives),
            ("FEEDS", feeds),
            ("STORES", stores),
            ("THREADS", &threads),
            ("FLUSH", flush),
        ];
        for (name, value) in values {
            assert!(config.contains(name), "{name} is set and nowhere asked for");
            config = config.replacen(name, value, 1);
        }
        fs::write(folder.join("linchpin.yaml"), config).unwrap();
        Self { folder }
    }

    pub(crate) fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linchpin"));
        command.current_dir(&self.folder).args([verb, "-c", "linchpin.yaml"]).args(args);
        command.env_remove("LINCHPIN_LOG").stdin(Stdio::null());
        // Hidden: it is no part of what the tests look at.
        command.env("XDG_STATE_HOME", self.folder.join(".state"));
        command
    }

    /// A call without a configuration, which must succeed.
    #[track_caller]
    pub(crate) fn plain(&self, args: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linchpin"));
        let done = command.current_dir(&self.folder).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn call(&self, verb: &str, args: &[&str]) -> Ran {
        let done = self.command(verb, args).output().unwrap();
        let err = String::from_utf8_lossy(&done.stderr).into_owned();
        Ran { code: done.status.code(), out: done.stdout, err }
    }

    /// Standard output of a call that succeeds.
    #[track_caller]
    pub(crate) fn ok(&self, verb: &str, args: &[&str]) -> Vec<u8> {
        let ran = self.call(verb, args);
        assert_eq!(ran.code, Some(0), "{verb} {args:?}: {}\n{}", String::from_utf8_lossy(&ran.out), ran.err);
        ran.out
    }

    /// Starts `run --once --json` in the background.
    pub(crate) fn start(&self) -> Child {
        let mut command = self.command("run", &["--once", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The summary of a worker from [`Lake::start`], which must succeed.
    #[track_caller]
    pub(crate) fn finished(worker: Child) -> Summary {
        let done = worker.wait_with_output().unwrap();
        assert!(done.status.success(), "a worker failed: {}", done.status);
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Takes everything in.
    #[track_caller]
    pub(crate) fn drain(&self) -> Summary {
        serde_json::from_slice(&self.ok("run", &["--once", "--json"])).unwrap()
    }

    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> Vec<Value> {
        serde_json::from_slice(&self.ok("search", &[sql, "--format", "json"])).unwrap()
    }

    /// Ids of all rows, sorted; no two are the same.
    #[track_caller]
    pub(crate) fn event_ids(&self) -> Vec<String> {
        let rows = self.ok("search", &["SELECT event_id FROM events ORDER BY event_id", "--format", "csv"]);
        let ids: Vec<String> = String::from_utf8(rows).unwrap().lines().skip(1).map(str::to_owned).collect();
        let twice: Vec<&String> = ids.windows(2).filter(|two| two[0] == two[1]).map(|two| &two[0]).collect();
        assert!(twice.is_empty(), "{} ids are there twice, such as {}", twice.len(), twice[0]);
        ids
    }

    /// Raw events by id, read back from the archive; every id comes once.
    #[track_caller]
    pub(crate) fn rehydrated(&self, predicate: &str) -> BTreeMap<String, Vec<u8>> {
        #[derive(Deserialize)]
        struct Framed {
            event_id: String,
            raw_b64: String,
        }
        let out = String::from_utf8(self.ok("rehydrate", &["--where", predicate, "--framed"])).unwrap();
        let mut events = BTreeMap::new();
        for line in out.lines() {
            let framed: Framed = serde_json::from_str(line).unwrap();
            let twice = events.insert(framed.event_id, BASE64.decode(framed.raw_b64).unwrap());
            assert!(twice.is_none(), "twice: {line}");
        }
        events
    }

    /// The archive is what the ledger says.
    #[track_caller]
    pub(crate) fn verified(&self) {
        self.ok("verify", &[]);
    }

    /// Files below a folder of this lake, sorted, without hidden ones.
    pub(crate) fn files(&self, below: &str) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.folder.join(below)]);
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries.map(Result::unwrap) {
                if entry.file_name().to_str().unwrap().starts_with('.') {
                    continue;
                }
                let to = if entry.file_type().unwrap().is_dir() { &mut folders } else { &mut files };
                to.push(entry.path());
            }
        }
        files.sort();
        files
    }
}

/// How often each value occurs.
pub(crate) fn multiset<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}
