//! Other engines read what we write: the hot table is plain Delta Lake, a segment is plain zstd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    lake::{Lake, Settings, multiset},
    logs,
};

/// Columns whose values are compared.
const COLUMNS: &[&str] =
    &["event_id", "class_uid", "api_operation", "src_endpoint_ip", "retention", "feed", "segment", "row"];

/// Reads a hot table with one engine: prints its rows as JSON lines.
const READERS: &[(&str, &str)] = &[
    (
        "deltalake",
        "import deltalake, polars\ntable = deltalake.QueryBuilder().register('t', deltalake.DeltaTable(path))\n\
         rows = polars.DataFrame(table.execute('SELECT ' + sys.argv[2] + ' FROM t').read_all()).to_dicts()",
    ),
    ("polars.read_delta", "import polars\nrows = polars.read_delta(path, columns=columns).to_dicts()"),
    (
        "polars.scan_delta",
        "import polars\nrows = polars.scan_delta(path).select(columns).collect().to_dicts()",
    ),
];

/// An interpreter that has the engines' packages.
fn python() -> PathBuf {
    let fallback = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/venv/bin/python");
    let python = std::env::var_os("LINCHPIN_PYTHON").map_or_else(fallback, PathBuf::from);
    assert!(
        python.exists(),
        "`{}` has no Python with deltalake, polars and zstandard: run `cargo xtask test`, which installs them",
        python.display()
    );
    python
}

fn output(command: &mut Command) -> Vec<u8> {
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// A lake with CloudTrail and flows, some of them internal.
fn filled(root: &Path) -> Lake {
    let folder = root.join("logs");
    logs::write_trails(&folder, 0, 4, 40);
    let flows: Vec<String> = (0..60).map(logs::flow).collect();
    fs::write(folder.join("flows.log"), format!("{}\n{}\n", logs::FLOW_HEADER, flows.join("\n"))).unwrap();
    let lake = Lake::new(root.join("lake"), &[("logs", &folder)], Settings::default());
    assert_eq!(lake.drain().raw_events, 4 * 40 + 60);
    lake
}

#[test]
fn other_engines_read_the_hot_table() {
    let root = tempfile::tempdir().unwrap();
    let lake = filled(root.path());
    let columns = COLUMNS.join(", ");
    // Without a value a column is left out of a row, here as there.
    let full =
        |row: &Value| COLUMNS.iter().map(|c| row.get(c).cloned().unwrap_or_default()).collect::<Vec<_>>();
    let mut ours: Vec<Vec<Value>> =
        lake.query(&format!("SELECT {columns} FROM events")).iter().map(full).collect();
    ours.sort_by_key(|row| row[0].to_string());
    assert_eq!(ours.len(), 220);
    for class in ["critical", "standard", "bulk"] {
        assert!(ours.iter().any(|row| row.contains(&json!(class))), "no row is {class}");
    }
    for (engine, read) in READERS {
        let script = format!(
            "import json, sys\npath, columns = sys.argv[1], sys.argv[2].split(', ')\n{read}\nprint(json.dumps(rows))"
        );
        let args = ["-c", &script, "lake/hot", &columns];
        let theirs = output(Command::new(python()).args(args).current_dir(&lake.folder));
        let theirs: Vec<Value> = serde_json::from_slice(&theirs).unwrap();
        let mut theirs: Vec<Vec<Value>> = theirs.iter().map(full).collect();
        theirs.sort_by_key(|row| row[0].to_string());
        assert!(
            ours == theirs,
            "{engine} reads other rows, such as {:?}",
            theirs.iter().find(|row| !ours.contains(row))
        );
    }
}

#[test]
fn other_tools_read_a_segment() {
    let root = tempfile::tempdir().unwrap();
    let lake = filled(root.path());
    let expected =
        multiset(lake.rehydrated("true").into_values().map(|event| event.escape_ascii().to_string()));
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/read_segment.py");
    let segments = lake.files("archive");
    assert!(segments.len() >= 3, "{segments:?}");
    let zstd = Command::new("zstd").arg("--version").output().is_ok_and(|done| done.status.success());
    let mut lines = Vec::new();
    for segment in &segments {
        let printed = output(Command::new(python()).arg(&reader).arg(segment));
        // No event here has a newline, so that lines are events.
        lines.extend(
            printed.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| l.escape_ascii().to_string()),
        );
        output(Command::new(python()).arg(&reader).arg(segment).arg("--verify"));
        if zstd {
            assert!(
                printed == output(Command::new("zstd").arg("-dcq").arg(segment)),
                "zstd prints something else"
            );
        }
    }
    assert!(multiset(lines) == expected, "other events than rehydrate gives");
}
