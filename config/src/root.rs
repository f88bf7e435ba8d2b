//! The root: `linchpin.yaml`.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::checks::Checks;
use crate::context::ContextFiles;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceText};
use crate::entries::Entries;
use crate::feeds::{DEFAULT_ARCHIVE, Feed, FeedFrom, check as check_feeds};
use crate::limits::Limits;
use crate::located::Located;
use crate::outputs::{Output, check as check_outputs};
use crate::place::{LocalPath, Place};
use crate::retention::Retention;
use crate::secret::SecretRef;
use crate::stores::Stores;
use crate::values::{ListenAddress, Name};
use crate::yaml::{FILE_BYTES_MAX, parse_source};

/// The configuration of a deployment. Everything in it has been checked, except what needs the columns (SQL
/// predicates) or the environment (secrets, stores).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "linchpin.yaml")]
pub struct Config {
    /// Names the deployment.
    #[serde(default = "default_name")]
    pub name: Name,
    /// Ledger, hot table and index; `./data/lake` when left out.
    #[serde(default = "default_lake")]
    pub lake: Place,
    /// Places of the raw logs by name; `default` is needed.
    pub archives: Located<Entries<Name, Place>>,
    /// Endpoints and credentials, where they differ from the environment's.
    #[serde(default)]
    pub stores: Stores,
    /// Where logs come from.
    pub feeds: Located<Vec<Feed>>,
    /// What is kept where, for how long.
    pub retention: Retention,
    /// Where events go.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// How much a process may take.
    #[serde(default)]
    pub limits: Limits,
    /// Folder of mappings beside those of this build; a running service takes up what changes there.
    pub mappings: Option<LocalPath>,
    /// Price book; a dated one is built in.
    pub prices: Option<LocalPath>,
    /// What is known of accounts, identities and data, for the rules; read again when a file changes.
    #[serde(default)]
    pub context: ContextFiles,
    /// Key that signs what is applied and deleted; one is made beside the lake when left out.
    pub signing: Option<Signing>,
    /// The HTTP interface.
    pub api: Option<Api>,
    /// The file itself, to point into it.
    #[serde(skip)]
    pub source: SourceText,
}

/// The key of the deployment's signatures.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// An Ed25519 key as PKCS #8: base64 or PEM.
    pub key: SecretRef,
}

/// The HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Address to listen on.
    pub listen: ListenAddress,
}

fn default_name() -> Name {
    Name::fixed("linchpin")
}

fn default_lake() -> Place {
    Place::folder("data/lake")
}

/// Why a configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{path}`: {source}\nhint: {hint}")]
    Unreadable {
        /// Path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The file is wrong.
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
}

impl Config {
    /// Reads and checks a file. Relative paths in it are resolved against its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_file(path).map_err(|error| match error {
            ConfigError::Unreadable { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ConfigError::Unreadable { path, source, hint: "name the file with `-c FILE`" }
            }
            other => other,
        })?;
        Ok(Self::parse(&path.display().to_string(), &text)?)
    }

    /// Checks a text; `file` is its name in diagnostics, and relative paths are resolved against its folder.
    pub fn parse(file: &str, text: &str) -> Result<Self, Diagnostics> {
        let mut source = SourceText::new(file, text);
        let mut config: Self = parse_source(&mut source)?;
        let mut checks = Checks { source: &mut source, found: Vec::new() };
        config.check(&mut checks);
        let mut found = checks.found;
        if found.is_empty() {
            config.source = source;
            return Ok(config);
        }
        found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        Err(Diagnostics(found))
    }

    /// The place of an archive, by the name that a feed gives.
    pub fn archive(&self, name: &str) -> Option<&Place> {
        self.archives.value.get(name)
    }

    /// A fault within a predicate of this file. `range` is the faulty part in bytes of the predicate; the
    /// whole of it when `None`.
    pub fn fault(
        &self,
        predicate: &Located<String>,
        range: Option<Range<usize>>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        let text = &predicate.value;
        let range = range.unwrap_or(0..text.len());
        let span = self.source.inside(predicate.span, text, range.start);
        self.source.diagnostic(span, text.get(range).unwrap_or(text), message, hint)
    }

    fn check(&self, checks: &mut Checks<'_>) {
        let archives: Vec<&str> = self.archives.value.names().collect();
        let outputs: Vec<&str> = self.outputs.iter().map(|output| output.name.value.as_str()).collect();
        if self.archive(DEFAULT_ARCHIVE).is_none() {
            let hint = Some("add `default: ./data/archive`".to_owned());
            let message = format!("there is no archive `{DEFAULT_ARCHIVE}`");
            checks.refuse(self.archives.span, "", message, hint);
        }
        if self.feeds.value.is_empty() {
            let hint = Some("add one: `- { name: logs, from: { files: ./logs } }`".to_owned());
            checks.refuse(self.feeds.span, "", "there is no feed".to_owned(), hint);
        }
        check_feeds(&self.feeds.value, &archives, checks);
        for (archive, _) in &self.stores.encryption {
            checks.known("archive", archive, &archives);
        }
        self.retention.check(&outputs, checks);
        check_outputs(&self.outputs, checks);
        self.limits.check(checks);
        self.check_loops(checks);
    }

    /// A feed must not read what linchpin writes.
    fn check_loops(&self, checks: &mut Checks<'_>) {
        let archives = self.archives.value.iter().map(|(_, place)| place);
        let places: Vec<&Place> = std::iter::once(&self.lake).chain(archives).collect();
        let folders = places.iter().filter_map(|place| place.as_folder());
        let folders: Vec<&Path> = folders.chain(self.outputs.iter().filter_map(Output::folder)).collect();
        let hint = "keep the logs in a folder of their own";
        for feed in &self.feeds.value {
            let (written, span) = match &feed.from {
                FeedFrom::Files(Located { value: LocalPath(read), span }) => {
                    let written = folders.iter().find(|w| w.starts_with(read) || read.starts_with(w));
                    (written.map(|folder| folder.display().to_string()), *span)
                }
                from => {
                    let written = from.bucket().and_then(|read| places.iter().find(|p| meet(&read, p)));
                    (written.map(ToString::to_string), feed.name.span)
                }
            };
            if let Some(written) = written {
                let name = &feed.name.value;
                let message = format!("the feed `{name}` would read `{written}`, which linchpin writes");
                checks.refuse(span, "", message, Some(hint.to_owned()));
            }
        }
    }
}

/// Whether keys of a feed may be keys below a place.
fn meet((bucket, read): &(Place, &str), place: &Place) -> bool {
    let Some((of, prefix)) = place.split() else { return false };
    let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    of == *bucket && (below.starts_with(read) || read.starts_with(&below))
}

/// The text of a file beside the configuration, at most [`FILE_BYTES_MAX`] bytes of UTF-8.
pub fn read_file(path: &Path) -> Result<String, ConfigError> {
    read(path).map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::NotFound => "paths are relative to the file that names them",
            io::ErrorKind::InvalidData => "save it as UTF-8",
            _ => "check that it is a file this user can read",
        };
        ConfigError::Unreadable { path: path.to_owned(), source, hint }
    })
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.utf8_error()))
}

/// The JSON Schema (draft 2020-12) of `linchpin.yaml`, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
