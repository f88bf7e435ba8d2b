//! Where the events of a job go.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use linchpin_normalize::Normalizer;

use crate::rehydrate::{Rehydrated, Shape};

/// Why a destination did not take events.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It may take them later.
    #[error("{0}")]
    Retry(String),
    /// It will not take them: somebody must do something about it first.
    #[error("{0}")]
    Stop(String),
}

impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        Self::Stop(error.to_string())
    }
}

/// A destination. Parts come one after the other, in any order, and again after a crash: a part that
/// begins replaces what an earlier try of it left.
#[async_trait]
pub trait Sink: Send {
    /// A part begins.
    async fn begin(&mut self, part: u32) -> Result<(), SinkError>;
    /// Events of the part, at most those of one block, in row order within a segment.
    async fn take(&mut self, events: &[Rehydrated<'_>], normalizer: &mut Normalizer)
    -> Result<(), SinkError>;
    /// The part is complete: when this returns, its events are safe.
    async fn finish(&mut self) -> Result<(), SinkError>;
    /// Whether `finish` only keeps events in the lake, and [`Sink::deliver`] hands them over.
    fn stages(&self) -> bool {
        false
    }
    /// Hands over a part that was kept; gives the number of its events.
    async fn deliver(&mut self, part: u32) -> Result<u64, SinkError> {
        let _ = part;
        Ok(0)
    }
}

/// One file a part in a folder; a file appears when it is complete.
#[derive(Debug)]
pub struct FolderSink {
    folder: PathBuf,
    shape: Shape,
    open: Option<(BufWriter<File>, PathBuf)>,
    buffer: Vec<u8>,
}

impl FolderSink {
    /// Files of one shape in `folder`, which is created where it is missing.
    pub fn open(folder: &Path, shape: Shape) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), shape, open: None, buffer: Vec::new() })
    }

    /// Path of a part's file.
    pub fn path(&self, part: u32) -> PathBuf {
        self.folder.join(format!("part-{part:06}.{}", self.shape.extension()))
    }
}

#[async_trait]
impl Sink for FolderSink {
    async fn begin(&mut self, part: u32) -> Result<(), SinkError> {
        let path = self.path(part);
        // What an earlier try left under this name is cut off.
        let file = File::create(path.with_extension("tmp"))?;
        self.open = Some((BufWriter::new(file), path));
        Ok(())
    }

    async fn take(
        &mut self,
        events: &[Rehydrated<'_>],
        normalizer: &mut Normalizer,
    ) -> Result<(), SinkError> {
        let Some((file, _)) = &mut self.open else { return Ok(()) };
        for event in events {
            self.buffer.clear();
            self.shape.write(event, normalizer, &mut self.buffer)?;
            file.write_all(&self.buffer)?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        let Some((file, path)) = self.open.take() else { return Ok(()) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(path.with_extension("tmp"), &path)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }
}
