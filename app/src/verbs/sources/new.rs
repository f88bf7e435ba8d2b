//! `linchpin sources --new`: a folder for a format that no mapping knows yet.

use std::{fs, io::Write, path::Path};

use anyhow::{Context as _, Result, anyhow};
use linchpin_normalize::{Catalog, scaffold};
use serde_json::json;

use super::check::SOURCE_FILE;
use crate::{exit::Failure, table};

/// Largest sample in bytes; more of it says nothing new and makes the test slow.
const SAMPLE_BYTES_MAX: u64 = 1 << 20;

/// Makes the folder of source `name` in `dir`, from a sample of its logs.
pub(super) fn new(
    catalog: &Catalog,
    name: &str,
    from: &Path,
    dir: &Path,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<()> {
    check_name(name)?;
    let shown = from.display();
    let size =
        fs::metadata(from).with_context(|| format!("cannot read `{shown}`")).map_err(Failure::usage)?.len();
    if size > SAMPLE_BYTES_MAX {
        let hint = format!("hint: a few events are enough, such as `head -n 100 {shown}`");
        return Err(Failure::usage(anyhow!("`{shown}` has {}\n{hint}", table::bytes(size))));
    }
    let bytes = fs::read(from).with_context(|| format!("cannot read `{shown}`")).map_err(Failure::usage)?;
    let folder = dir.join(scaffold::folder(name));
    if folder.exists() {
        return Err(Failure::usage(anyhow!("`{}` exists\nhint: `--check` looks at it", folder.display())));
    }
    let made = scaffold::of(catalog, name, &bytes)
        .with_context(|| format!("cannot make a mapping of `{shown}`"))
        .map_err(Failure::problem)?;
    let sample = folder.join("tests").join(made.sample_file);
    let expected = format!("{:#}\n", made.sample.expectation());
    write(&sample, &bytes)?;
    write(&sample.with_extension("expected.json"), expected.as_bytes())?;
    write(&folder.join(SOURCE_FILE), made.mapping.as_bytes())?;
    let covered = &made.sample.covered;
    if as_json {
        let folder = folder.display().to_string();
        let (fields, consumed) = (covered.fields, covered.consumed());
        let events = made.sample.events;
        writeln!(
            out,
            "{}",
            json!({ "folder": folder, "events": events, "fields": fields, "consumed": consumed })
        )?;
        return Ok(());
    }
    writeln!(
        out,
        "{}: {} events, {} of {} values have a rule\nnext: edit it, then `linchpin sources --check {} --update`",
        folder.join(SOURCE_FILE).display(),
        made.sample.events,
        covered.consumed(),
        covered.fields,
        folder.display()
    )?;
    Ok(())
}

/// A name is `vendor.product`, in lower case.
fn check_name(name: &str) -> Result<()> {
    let part = |part: &str| {
        let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        part.starts_with(|c: char| c.is_ascii_lowercase()) && part.bytes().all(byte)
    };
    match name.split_once('.') {
        Some((vendor, product)) if part(vendor) && part(product) => Ok(()),
        _ => {
            let hint = "hint: `vendor.product`, in lower-case letters, digits and `_`, such as `acme.door`";
            Err(Failure::usage(anyhow!("`{name}` is no name of a source\n{hint}")))
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, bytes));
    made.with_context(|| format!("cannot write `{}`", path.display())).map_err(Failure::environment)
}
