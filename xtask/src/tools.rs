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
/// The engines that linchpin is compared with; some hundred megabytes, so not for the tests.
const PEER_PACKAGES: &[&str] = &["chdb==4.4.0", "chdb-core==26.9.0", "duckdb==2.0.0", "polars==2.1.0"];

/// What emulates S3.
const MOTO_PACKAGES: &[&str] = &["moto[server]==5.2.5"];
const AZURITE: &str = "3.37.0";
const VERSITYGW: &str = "v1.8.0";
const CARGO_DENY: &str = "0.20.2";

/// A Python interpreter that has [`PYTHON_PACKAGES`].
pub(crate) fn python(workspace: &Workspace) -> Result<PathBuf> {
    venv(workspace, "venv", PYTHON_PACKAGES)
}

/// A Python interpreter that has [`PEER_PACKAGES`].
pub(crate) fn peers(workspace: &Workspace) -> Result<PathBuf> {
    venv(workspace, "peers", PEER_PACKAGES)
}

fn venv(workspace: &Workspace, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let venv = workspace.tools().join(name);
    let python = venv.join("bin").join("python");
    once(&venv, &packages.join("\n"), || {
        fs::create_dir_all(workspace.tools())?;
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        output(Command::new(&python).args(pip).args(packages)).map(drop)
    })?;
    Ok(python)
}

/// `moto_server`, which emulates S3.
pub(crate) fn moto(workspace: &Workspace) -> Result<PathBuf> {
    let python = venv(workspace, "moto", MOTO_PACKAGES)?;
    Ok(python.with_file_name("moto_server"))
}

/// `azurite-blob`, which emulates Azure Blob Storage.
pub(crate) fn azurite(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join("azurite");
    once(&folder, AZURITE, || {
        fs::create_dir_all(&folder)?;
        let npm = ["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"];
        output(Command::new("npm").args(npm).arg(&folder).arg(format!("azurite@{AZURITE}"))).map(drop)
    })?;
    Ok(folder.join("node_modules").join(".bin").join("azurite-blob"))
}

/// `versitygw`, an S3 server on a folder; building it takes some minutes.
pub(crate) fn versitygw(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join("versitygw");
    once(&folder, VERSITYGW, || {
        eprintln!("installing versitygw {VERSITYGW}, once");
        let package = format!("github.com/versity/versitygw/cmd/versitygw@{VERSITYGW}");
        output(Command::new("go").args(["install", &package]).env("GOBIN", &folder)).map(drop)
    })?;
    Ok(folder.join("versitygw"))
}

/// The GCS server of the tests, built again when its source changes.
pub(crate) fn gcs(workspace: &Workspace) -> Result<PathBuf> {
    let source = workspace.root.join("xtask").join("gcs");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&source)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let texts: Vec<String> = files.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let folder = workspace.tools().join("gcs");
    let binary = folder.join("gcs");
    once(&folder, &texts.concat(), || {
        fs::create_dir_all(&folder)?;
        output(Command::new("go").current_dir(&source).args(["build", "-o"]).arg(&binary)).map(drop)
    })?;
    Ok(binary)
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
