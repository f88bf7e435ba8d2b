//! Calls that are wrong or ask for help.

use crate::support::Folder;

const VERBS: &[&str] = &[
    "run",
    "normalize",
    "sources",
    "search",
    "rehydrate",
    "jobs",
    "renormalize",
    "verify",
    "status",
    "check",
    "doctor",
    "explain",
    "plan",
    "enforce",
    "hold",
    "apply",
    "lifecycle",
    "generate",
    "demo",
    "completions",
    "man",
];

#[test]
fn help_has_an_example_of_every_verb() {
    let folder = Folder::new();
    let help = folder.run(&["--help"]);
    for &verb in VERBS {
        assert!(help.ok().text().contains(&format!("\n  {verb} ")), "{verb}");
        let help = folder.run(&[verb, "--help"]);
        assert!(help.ok().text().contains(&format!("\nExample:\n  linchpin {verb}")), "{}", help.text());
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = Folder::new();
    folder.write("good.yaml", crate::configuration::GOOD);
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage: linchpin"),
        (&["fly"], "unrecognized subcommand 'fly'"),
        (&["run"], "--config <FILE>"),
        (&["check"], "--config <FILE>"),
        (&["doctor"], "--config <FILE>"),
        (&["completions", "dos"], "invalid value 'dos'"),
        (&["check", "-c", "missing.yaml"], "error: cannot read the configuration `missing.yaml`"),
        (&["rehydrate", "-c", "good.yaml"], "--where <PREDICATE>"),
        (&["rehydrate", "-c", "good.yaml", "--where", "true", "--object", "a"], "cannot be used with"),
        (
            &["rehydrate", "-c", "good.yaml", "--where", "true", "--framed", "--format", "ocsf"],
            "`--framed` goes with `--format raw`",
        ),
        (
            &["rehydrate", "-c", "good.yaml", "--where", "true", "--from", "soon"],
            "`soon` is not a moment\nhint: ",
        ),
        (
            &["search", "-c", "good.yaml", "SELECT 1", "--format", "xml"],
            "[possible values: table, json, csv, parquet]",
        ),
        (&["search", "-c", "good.yaml", "SELECT 1", "--memory", "64"], "the size `64` has no unit\nhint: "),
        (&["search", "-c", "good.yaml", "SELECT nothing FROM events"], "error: "),
        (&["search", "-c", "good.yaml", "DROP TABLE events"], "hint: a search is one SELECT"),
        (&["verify", "-c", "good.yaml", "--sample", "7"], "`7` is not between 0 and 1\nhint: "),
        (
            &["hold", "release", "-c", "good.yaml", "--case", "c", "--reason", "r"],
            "no hold is in force for the case `c`",
        ),
        (
            &["hold", "add", "-c", "good.yaml", "--case", "c", "--where", "nothing = 1"],
            "error: the predicate is wrong: ",
        ),
        (&["generate", "--out", "x", "--source", "aws.s3"], "unknown source `aws.s3`\nhint: "),
        (&["generate", "--out", "x", "--bytes", "lots"], "`lots` is not a size\nhint: "),
        (
            &["normalize", "--source", "aws.cloudtrial"],
            "error: no source `aws.cloudtrial`\nhint: did you mean `aws.cloudtrail`?",
        ),
        (&["normalize", "missing.log"], "error: cannot read `missing.log`"),
        (&["sources", "--check", "missing"], "error: cannot read `missing`"),
        (&["sources", "--check", "."], "error: no mapping in `.`\nhint: "),
    ];
    for (args, expected) in cases {
        let ran = folder.run(args);
        assert_eq!((ran.code, ran.text()), (2, ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_predicate_is_shown_where_it_is_wrong() {
    let folder = Folder::new();
    folder.write("good.yaml", crate::configuration::GOOD);
    let ran =
        folder.run(&["rehydrate", "-c", "good.yaml", "--where", "class_uid = 6003 AND usr_name = 'ann'"]);
    assert_eq!(ran.code, 2);
    let expected = "--where:1:22: error: unknown column `usr_name`\n  | class_uid = 6003 AND usr_name = 'ann'\n  |                      ^^^^^^^^\nhint: did you mean `user_name`?\n";
    assert_eq!(ran.err, expected);
}

#[test]
fn a_fault_of_the_environment_is_exit_code_3() {
    let folder = Folder::new();
    folder.write("good.yaml", crate::configuration::GOOD);
    folder.write("data/lake", "not a folder");
    for args in [["status", "-c", "good.yaml"], ["verify", "-c", "good.yaml"]] {
        let ran = folder.run(&args);
        assert_eq!((ran.code, ran.text()), (3, ""), "{}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains("data/lake"), "{}", ran.err);
    }
}

/// A reader that has seen enough is no failure.
#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = Folder::new();
    let record = crate::normalising::TRAIL.replace('\n', "");
    folder.write("many.json", format!("{record}\n").repeat(5000));
    let program = env!("CARGO_BIN_EXE_linchpin");
    let ran = folder.shell(&format!("{{ {program} normalize many.json; echo $? >code; }} | head -n 1"));
    assert_eq!((ran.code, ran.err.as_str(), ran.text().lines().count()), (0, "", 1));
    assert_eq!(std::fs::read_to_string(folder.path().join("code")).unwrap(), "0\n");
}
