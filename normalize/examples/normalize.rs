//! The heart by itself: raw logs in, OCSF NDJSON out, rejects on standard error.
//!
//! `cargo run -p linchpin-normalize --example normalize -- [--sources DIR] [--source NAME] [--coverage] FILE…`
//! With `--sources` the mappings of a folder are used instead of those of this build; with
//! `--coverage` the documents are only counted: what no rule took, what is recommended and missing,
//! what is invalid, and where columns differ from documents.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a program around the crate, not part of it"
)]

use std::{error::Error, fs, sync::Arc};

use linchpin_normalize::{
    Carry, Catalog, Delivered, Normalizer, RawUnit, ReplayUnit, UnitId,
    samples::{self, Sample},
};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut files, mut source, mut folder, mut coverage) = (Vec::new(), None, None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--source" => source = args.next(),
            "--sources" => folder = args.next(),
            "--coverage" => coverage = true,
            _ => files.push(arg),
        }
    }
    let catalog = match folder {
        None => Catalog::builtin()?,
        Some(folder) => {
            let mut texts = Vec::new();
            for entry in fs::read_dir(folder)? {
                let file = entry?.path().join("source.yml");
                if file.is_file() {
                    texts.push((file.display().to_string(), fs::read_to_string(&file)?));
                }
            }
            Catalog::new(texts.iter().map(|(file, text)| (file.as_str(), text.as_str())))?
        }
    };
    let mut normalizer = Normalizer::new(Arc::new(catalog));
    for file in files {
        let bytes = fs::read(&file)?;
        if coverage {
            let of = source.as_deref().map(Arc::from);
            show(&file, &samples::run(&mut normalizer, &file, bytes, of.as_ref()));
            continue;
        }
        let unit = RawUnit {
            id: UnitId { object: file.as_str().into(), start: 0, end: bytes.len() as u64 },
            feed: "example".into(),
            key: file.as_str().into(),
            source: source.as_deref().map(Into::into),
            bytes: bytes.into(),
            carry: Carry::default(),
            received_ms: 1_700_000_000_000,
            delivered: Delivered::default(),
            gaps: Vec::new(),
        };
        let mut pass = normalizer.begin(&unit);
        let facts = normalizer.facts(&pass);
        let replay = ReplayUnit {
            key: unit.id.key(),
            source: &facts.source,
            context: &facts.context,
            received_ms: unit.received_ms,
        };
        while let Some(normalized) = normalizer.batch(&unit, &mut pass) {
            for reject in &normalized.rejects {
                eprintln!("{file}: {reject:?}");
            }
            for event in &normalized.batch.events {
                let bytes = &unit.bytes[event.start as usize..event.end as usize];
                for document in normalizer.render(&replay, event.start, bytes) {
                    println!("{document}");
                }
            }
        }
    }
    Ok(())
}

/// What a file's documents say of it.
fn show(file: &str, sample: &Sample) {
    let covered = &sample.covered;
    println!(
        "{file}: {}, {} events, {} documents, {} rejects, {} invalid; {} of {} values mapped, {} of {} recommended attributes filled",
        sample.source,
        sample.events,
        sample.documents.len(),
        sample.rejects.len(),
        sample.invalid,
        covered.consumed(),
        covered.fields,
        covered.filled,
        covered.recommended,
    );
    sample.faults.iter().for_each(|fault| println!("  fault: {fault}"));
    sample.rejects.iter().for_each(|reject| println!("  reject: {reject}"));
    let mut unmapped: Vec<_> = covered.unmapped.iter().collect();
    unmapped.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    for (path, n) in unmapped {
        println!("  no rule takes: {path} ({n})");
    }
    covered.lacking.iter().for_each(|name| println!("  recommended and not filled: {name}"));
}
