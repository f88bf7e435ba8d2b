//! How a file appears: at once, complete, and still there after a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    time::{Duration, SystemTime},
};

/// What to do with the final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// Refuse with `AlreadyExists` if it is taken.
    Create,
    /// Take the place of what is there; the modification time moves forward.
    Replace,
}

/// Writes `chunks` to `staged`, a fresh name in the same folder, syncs it and then gives it the
/// name `path`. Missing folders are created. A failure leaves no `staged`; a crash may.
pub fn publish<'a>(
    path: &Path,
    staged: &Path,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    how: Publish,
) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let named = stage(path, staged, chunks, how).and_then(|()| match how {
        Publish::Create => fs::hard_link(staged, path),
        Publish::Replace => fs::rename(staged, path),
    });
    if named.is_err() || how == Publish::Create {
        let removed = fs::remove_file(staged);
        named.and(removed)?;
    }
    sync_parent(path)
}

fn stage<'a>(
    path: &Path,
    staged: &Path,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    how: Publish,
) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).open(staged)?;
    chunks.into_iter().try_for_each(|chunk| file.write_all(chunk))?;
    // File systems stamp in steps of milliseconds: set the precise time, which etags are made of.
    let now = SystemTime::now();
    let time = match (how, fs::metadata(path).and_then(|m| m.modified())) {
        (Publish::Replace, Ok(old)) => now.max(old + Duration::from_micros(1)),
        _ => now,
    };
    file.set_modified(time)?;
    file.sync_all()
}

/// Creates a folder and makes every new level durable.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|p| !p.is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    missing.into_iter().rev().try_for_each(sync_parent)
}

/// Makes the name of `path` durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
