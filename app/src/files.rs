//! Reads files and folders of logs unit by unit, as a feed would, without a lake.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use anyhow::{Result, anyhow};
use linchpin_config::{AUTO_SOURCE, suggestion};
use linchpin_ingest::{Body, Candidate, Feed, FileSource, Inflater, Limits, Source as _, UnitReader};
use linchpin_normalize::{Carry, Catalog, Normalizer, Part, RawUnit};
use tokio::runtime::Runtime;

use crate::exit::Failure;

/// Files asked for at once when a folder is given.
const PAGE: usize = 256;
/// Name of the standard input in messages.
const STDIN: &str = "stdin";

/// What takes the units: the name of their file, and the unit.
pub(crate) type Take<'t> = &'t mut dyn FnMut(&str, &RawUnit) -> Result<()>;

/// A reader of files.
pub(crate) struct Files {
    feed: Feed,
    runtime: Runtime,
    inflater: Inflater,
    /// For cutting large objects, which happens in the middle of reading them.
    cutter: RefCell<Normalizer>,
    failed: u64,
}

/// Something that is read to its end and is what it is: a pipe, a terminal.
struct Stream<R>(R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read + Send> Body for Stream<R> {
    fn is_unchanged(&mut self) -> bool {
        true
    }
}

impl Files {
    /// A reader of logs of the source `source`, which may be `auto`.
    pub(crate) fn new(catalog: &Arc<Catalog>, source: &str) -> Result<Self> {
        let source = Some(source).filter(|name| *name != AUTO_SOURCE);
        if let Some(name) = source.filter(|name| catalog.index(name).is_none()) {
            let names = catalog.plans().iter().map(|plan| &*plan.name).chain([AUTO_SOURCE]);
            let hint = suggestion(name, names).unwrap_or_else(|| "`linchpin sources` lists them".to_owned());
            return Err(Failure::usage(anyhow!("no source `{name}`\nhint: {hint}")));
        }
        Ok(Self {
            feed: Feed { name: "normalize".into(), source: source.map(Arc::from) },
            runtime: crate::verbs::runtime()?,
            inflater: Inflater::new(Limits::default()),
            cutter: RefCell::new(Normalizer::new(Arc::clone(catalog))),
            failed: 0,
        })
    }

    /// Gives the units of a file, of the files in a folder, or of the standard input (`-`).
    pub(crate) fn each(&mut self, path: &Path, take: Take<'_>) -> Result<()> {
        if path.as_os_str() == "-" {
            return self.stream(STDIN, io::stdin(), take);
        }
        let name = path.display().to_string();
        let unreadable = |error: io::Error| {
            Failure::usage(anyhow::Error::new(error).context(format!("cannot read `{name}`")))
        };
        let meta = std::fs::metadata(path).map_err(unreadable)?;
        if !meta.is_file() && !meta.is_dir() {
            return self.stream(&name, File::open(path).map_err(unreadable)?, take);
        }
        let source = FileSource::new(path).map_err(Failure::usage)?;
        loop {
            let page = self.runtime.block_on(source.next(PAGE)).map_err(Failure::environment)?;
            for candidate in &page {
                let shown = if meta.is_file() { &name } else { &*candidate.key };
                match self.runtime.block_on(source.open(candidate)) {
                    Ok(body) => self.object(shown, candidate, body, take)?,
                    Err(error) => self.fail(shown, &error),
                }
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    /// Says how many files could not be read, if any.
    pub(crate) fn end(self) -> Result<()> {
        match self.failed {
            0 => Ok(()),
            n => Err(Failure::environment(anyhow!("{n} files could not be read"))),
        }
    }

    fn stream(&mut self, name: &str, from: impl Read + Send + 'static, take: Take<'_>) -> Result<()> {
        let candidate = Candidate {
            object: name.into(),
            key: name.into(),
            size: 0,
            modified_ms: jiff::Timestamp::now().as_millisecond(),
            lease: None,
        };
        self.object(name, &candidate, Box::new(Stream(from)), take)
    }

    fn fail(&mut self, name: &str, error: &dyn std::error::Error) {
        self.failed += 1;
        eprintln!("{name}: {error}");
    }

    fn object(
        &mut self,
        name: &str,
        candidate: &Candidate,
        body: Box<dyn Body>,
        take: Take<'_>,
    ) -> Result<()> {
        let (feed, cutter) = (self.feed.clone(), &self.cutter);
        let (key, source) = (&*candidate.key, feed.source.as_deref());
        let cut =
            |bytes: &[u8], carry: &Carry| cutter.borrow_mut().cut(&Part { key, source, bytes, carry }, false);
        let mut reader = UnitReader::new(&mut self.inflater, body, &feed, candidate, &cut);
        let mut failures = Vec::new();
        while let Some(unit) = reader.next_unit() {
            match unit {
                Ok(unit) => take(name, &unit)?,
                Err(error) => failures.push(error),
            }
        }
        drop(reader);
        for error in &failures {
            self.fail(name, error);
        }
        Ok(())
    }
}
