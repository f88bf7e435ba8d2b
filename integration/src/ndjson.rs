//! `ndjson`: one JSON object a line, to a folder or to standard output.
//!
//! A folder gets one file a delivery, `<YYYY-MM-DD>/<worker>-<seq>.ndjson`, by the day (UTC) of the
//! epoch's commit. It is written under `.partial/`, synced and renamed, so that a file with its final
//! name is always whole and durable, and a repeat replaces it by the same content. Standard output
//! has no names: a repeat prints again.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};
use linchpin_config::{NdjsonTarget, OutputTo};

use crate::output::{Delivered, Delivery, Output, OutputError};

/// Folder of files that are not whole yet.
const PARTIAL: &str = ".partial";
/// Age from which a file under `.partial/` is the rest of a crash and is removed.
pub const PARTIAL_AGE_MAX: Duration = Duration::from_hours(24);

/// The `ndjson` output.
#[derive(Debug, Clone)]
pub struct NdjsonOutput {
    name: Arc<str>,
    sink: Sink,
}

#[derive(Clone)]
enum Sink {
    Folder(PathBuf),
    Stream(Arc<Mutex<dyn Write + Send>>),
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl NdjsonOutput {
    /// Makes the folder and removes what an earlier crash left under `.partial/`.
    pub fn new(name: impl Into<Arc<str>>, target: &NdjsonTarget) -> Result<Self, OutputError> {
        match target {
            NdjsonTarget::Stdout => Ok(Self::to_stream(name, io::stdout())),
            NdjsonTarget::Folder(path) => {
                fs::create_dir_all(path.join(PARTIAL)).map_err(|e| io_error(path, &e))?;
                sweep(&path.join(PARTIAL), SystemTime::now()).map_err(|e| io_error(path, &e))?;
                Ok(Self { name: name.into(), sink: Sink::Folder(path.clone()) })
            }
        }
    }

    /// Writes to any stream instead of standard output.
    pub fn to_stream(name: impl Into<Arc<str>>, stream: impl Write + Send + 'static) -> Self {
        Self { name: name.into(), sink: Sink::Stream(Arc::new(Mutex::new(stream))) }
    }
}

/// Row of [`crate::OUTPUTS`].
pub(crate) fn build(name: &str, to: &OutputTo) -> Option<Result<Arc<dyn Output>, OutputError>> {
    let OutputTo::Ndjson(target) = to else { return None };
    Some(NdjsonOutput::new(name, target).map(|output| Arc::new(output) as Arc<dyn Output>))
}

#[async_trait]
impl Output for NdjsonOutput {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Delivered, OutputError> {
        let label = delivery.label()?;
        let day = day(delivery.committed_ms)?;
        if delivery.events.is_empty() {
            return Ok(Delivered::default());
        }
        let bodies: Vec<Bytes> = delivery.events.iter().map(|e| e.body.clone()).collect();
        let done = Delivered {
            events: bodies.len() as u64,
            bytes: bodies.iter().map(|b| b.len() as u64).sum(),
            requests: 1,
            rejected: Vec::new(),
        };
        let sink = self.sink.clone();
        let write = move || match sink {
            Sink::Folder(path) => write_file(&path, &day, &label, &bodies).map_err(|e| io_error(&path, &e)),
            Sink::Stream(stream) => {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                write_lines(&mut *stream, &bodies).map_err(|e| io_error(Path::new("stdout"), &e))
            }
        };
        tokio::task::spawn_blocking(write).await.map_err(|e| OutputError::retry(e.to_string()))??;
        Ok(done)
    }
}

/// The day of a time, `YYYY-MM-DD` in UTC.
fn day(ms: i64) -> Result<String, OutputError> {
    Timestamp::from_millisecond(ms)
        .map(|at| at.to_zoned(TimeZone::UTC).date().to_string())
        .map_err(|_| OutputError::configuration(format!("commit time `{ms}` is not a time")))
}

fn write_lines(to: &mut dyn Write, bodies: &[Bytes]) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 16, to);
    for body in bodies {
        to.write_all(body)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

fn write_file(folder: &Path, day: &str, label: &str, bodies: &[Bytes]) -> io::Result<()> {
    let days = folder.join(day);
    if !days.is_dir() {
        fs::create_dir_all(&days)?;
        sync_folder(folder)?;
    }
    // The random part of the name keeps two writers of the same step apart.
    let partial = folder.join(PARTIAL);
    fs::create_dir_all(&partial)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(label).suffix(".ndjson");
    // Readable as any new file is: the umask decides, not the privacy of a temporary file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(partial)?;
    write_lines(file.as_file_mut(), bodies)?;
    file.as_file().sync_all()?;
    file.persist(days.join(format!("{label}.ndjson"))).map_err(|e| e.error)?;
    sync_folder(&days)
}

/// Makes renames and new entries in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes files of an earlier crash; younger ones may belong to a living worker.
fn sweep(partial: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(partial)? {
        let entry = entry?;
        let age = now.duration_since(entry.metadata()?.modified()?).unwrap_or_default();
        if age > PARTIAL_AGE_MAX {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What a failed write means: a place that cannot be written stops the output, anything else (a full
/// disk, say) can pass.
fn io_error(place: &Path, error: &io::Error) -> OutputError {
    use io::ErrorKind::{AlreadyExists, BrokenPipe, NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    let reason = format!("cannot write `{}`: {error}", place.display());
    match error.kind() {
        AlreadyExists | BrokenPipe | NotADirectory | PermissionDenied | ReadOnlyFilesystem => {
            OutputError::configuration(reason)
        }
        _ => OutputError::retry(reason),
    }
}

#[cfg(test)]
mod tests;
