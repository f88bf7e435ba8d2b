//! Lists `sources/*/source.yml`, so that a new source is one folder and no Rust.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "runs when the crate is built, not in it"
)]

use std::{env, fmt::Write as _, fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("sources");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut folders: Vec<_> = fs::read_dir(&root)?.filter_map(Result::ok).map(|e| e.path()).collect();
    folders.sort();
    let mut out =
        String::from("/// Built-in mappings: file name and text.\npub const SOURCES: &[(&str, &str)] = &[\n");
    for folder in folders.iter().filter(|f| f.join("source.yml").is_file()) {
        let file = folder.join("source.yml");
        println!("cargo::rerun-if-changed={}", file.display());
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "    (\"sources/{name}/source.yml\", include_str!({:?})),", file.display().to_string())
            .map_err(io::Error::other)?;
    }
    out.push_str("];\n");
    let dir = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&dir).join("sources.rs"), out)
}
