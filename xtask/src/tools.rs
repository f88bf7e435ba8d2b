//! Tools that are installed below the target directory, each once per version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::workspace::{Workspace, output, run};

/// Python packages of the tests that read our files with another engine.
const PYTHON_PACKAGES: &[&str] = &["deltalake==1.6.6", "polars==2.1.0", "zstandard==0.25.0"];

const CARGO_DENY: &str = "0.20.2";

/// A Python interpreter that has [`PYTHON_PACKAGES`].
pub(crate) fn python(workspace: &Workspace) -> Result<PathBuf> {
    let venv = workspace.tools().join("venv");
    let python = venv.join("bin").join("python");
    once(&venv, &PYTHON_PACKAGES.join("\n"), || {
        fs::create_dir_all(workspace.tools())?;
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        output(Command::new(&python).args(pip).args(PYTHON_PACKAGES)).map(drop)
    })?;
    Ok(python)
}

/// `cargo deny`; building it takes some minutes.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.tools().join("cargo-deny");
    once(&root, CARGO_DENY, || {
        eprintln!("installing cargo-deny {CARGO_DENY}, once");
        let mut install = workspace.cargo(&[
            "install",
            "cargo-deny",
            "--locked",
            "--force",
            "--version",
            CARGO_DENY,
            "--root",
        ]);
        // Built elsewhere than the workspace, whose target directory may be locked.
        run(install.arg(&root).env_remove("CARGO_TARGET_DIR"))
    })?;
    Ok(root.join("bin").join("cargo-deny"))
}

/// Installs into `folder` unless it was done for the same `version`. The note is written last, so an
/// interrupted installation is done again.
fn once(folder: &Path, version: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let note = folder.join("installed-version");
    if fs::read_to_string(&note).is_ok_and(|installed| installed == version) {
        return Ok(());
    }
    install()?;
    fs::write(&note, version).with_context(|| format!("cannot write `{}`", note.display()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn installs_once_per_version_and_again_after_a_failure() {
        let folder = std::env::temp_dir().join(format!("xtask-once-{}", std::process::id()));
        let runs = Cell::new(0);
        let install = |version: &str, works: bool| {
            once(&folder, version, || {
                runs.set(runs.get() + 1);
                fs::create_dir_all(&folder)?;
                anyhow::ensure!(works, "no network");
                Ok(())
            })
        };
        assert!(install("1", false).is_err());
        install("1", true).unwrap();
        install("1", true).unwrap();
        assert_eq!(runs.get(), 2);
        install("2", true).unwrap();
        assert_eq!(runs.get(), 3);
        fs::remove_dir_all(&folder).unwrap();
    }
}
