//! Where a verb's result goes: standard output, or a file that appears only when it is complete.

use std::{
    fs::File,
    io::{self, BufWriter, Stdout, Write},
    path::{Path, PathBuf},
};

use anyhow::Result;
use tempfile::NamedTempFile;

use crate::exit::Failure;

/// A result under way.
#[derive(Debug)]
pub(crate) enum Output {
    /// Standard output.
    Stdout(BufWriter<Stdout>),
    /// A file beside its final name.
    File(BufWriter<NamedTempFile>, PathBuf),
}

impl Output {
    /// Opens standard output, or `path`.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout(BufWriter::new(io::stdout()))) };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = temporary(folder).map_err(|error| cannot_write(path, error))?;
        Ok(Self::File(BufWriter::new(file), path.to_owned()))
    }

    /// The result is complete: a file gets its name, in place of what had it before.
    pub(crate) fn finish(self) -> Result<()> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::File(out, path) => {
                let file = out.into_inner().map_err(|e| cannot_write(&path, e.into_error()))?;
                file.as_file().sync_all().map_err(|error| cannot_write(&path, error))?;
                let done: Result<File, _> = file.persist(&path);
                done.map(drop).map_err(|e| cannot_write(&path, e.error))
            }
        }
    }
}

/// A new file with the rights that any new file gets.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".linchpin-");
    #[cfg(unix)]
    let builder = {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666))
    };
    builder.tempfile_in(folder)
}

fn cannot_write(path: &Path, error: io::Error) -> anyhow::Error {
    Failure::environment(anyhow::Error::new(error).context(format!("cannot write `{}`", path.display())))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(out, _) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(out, _) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.txt");
        std::fs::write(&path, "old").unwrap();
        let names = || std::fs::read_dir(dir.path()).unwrap().count();

        let mut dropped = Output::open(Some(&path)).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), names()), ("old", 1));

        let mut complete = Output::open(Some(&path)).unwrap();
        complete.write_all(b"new").unwrap();
        complete.finish().unwrap();
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), names()), ("new", 1));

        let error = Output::open(Some(&dir.path().join("no/folder"))).unwrap_err();
        assert_eq!(Failure::code(&error), 3);
    }
}
