//! The documentation's commands: every block marked `sh test` runs as it is printed.

use std::{env, fs, os::unix::fs::symlink, path::Path, process::Command};

/// Blocks marked `sh test`, in the order of the file.
fn blocks(text: &str) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None::<String>);
    for line in text.lines() {
        match (&mut open, line) {
            (None, "```sh test") => open = Some(String::new()),
            (None, _) => {}
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

#[test]
fn commands_of_the_documentation_run_as_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The commands are meant for the root of the checkout.
    symlink(root.join("normalize"), folder.path().join("normalize")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_linchpin")).parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    let mut ran = 0;
    for file in
        ["README.md", "CONTRIBUTING.md", "docs/mappings.md", "docs/adding-a-source.md", "docs/format.md"]
    {
        for block in blocks(&fs::read_to_string(root.join(file)).unwrap()) {
            let done = Command::new("sh")
                .args(["-e", "-c", &block])
                .current_dir(folder.path())
                .env("PATH", &path)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{file}: {} of\n{block}\n{said}", done.status);
            ran += 1;
        }
    }
    assert!(ran > 0);
}
