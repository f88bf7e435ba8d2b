//! What tests show: chosen tests are run, those that passed are counted, and what they measured by the
//! way is read from lines `figure NAME VALUE` of their output.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Figure, Lab, Target};
use crate::{measure::observe, services::Running, test};

/// Tests that show one promise.
struct Shown {
    /// Name of the figure.
    name: &'static str,
    package: &'static str,
    /// Part of the tests' names.
    filter: &'static str,
    /// At least so many tests.
    least: f64,
    /// Variables that make a short campaign the full one.
    variables: &'static [(&'static str, &'static str)],
    /// What the tests measure, each with its target.
    measures: &'static [(&'static str, Target)],
}

/// What the tests of the spine show: one row each.
const SPINE: &[Shown] = &[
    Shown {
        name: "tests_passed_real_samples_become_valid_ocsf",
        package: "linchpin",
        filter: "corpus::",
        least: 1.0,
        variables: &[],
        measures: &[
            ("corpus_documents", Target::AtLeast(1.0)),
            ("corpus_documents_invalid", Target::Exactly(0.0)),
        ],
    },
    Shown {
        name: "tests_passed_ledger_conflict",
        package: "linchpin-tiering",
        filter: "ledger::tests::concurrent_committers_consume_every_unit_exactly_once",
        least: 1.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_standard_tools_read_a_segment",
        package: "linchpin-tiering",
        filter: "archive::tests::standard_tools_read_a_segment",
        least: 1.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_events_in_equal_events_out",
        package: "linchpin",
        filter: "property::",
        least: 1.0,
        variables: &[("LINCHPIN_CAMPAIGN_CASES", "60")],
        measures: &[],
    },
    Shown {
        name: "tests_passed_lanes_and_take_over",
        package: "linchpin",
        filter: "outputs::",
        least: 1.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_other_engines_read_the_hot_table",
        package: "linchpin",
        filter: "engines::",
        least: 1.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_contract_of_stores",
        package: "linchpin-store",
        filter: "keeps_the_contract",
        least: 6.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_pipeline_on_three_clouds",
        package: "linchpin",
        filter: "clouds::",
        least: 5.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_50_kills_on_s3",
        package: "linchpin",
        filter: "killed_on_s3",
        least: 2.0,
        variables: &[("LINCHPIN_CAMPAIGN_KILLS_S3", "50")],
        measures: &[],
    },
];

/// What the tests of tiering show: one row each.
const TIERING: &[Shown] = &[
    Shown {
        name: "tests_passed_ten_years_of_three_clouds",
        package: "linchpin-tiering",
        filter: "ten_years_of_three_clouds",
        least: 1.0,
        variables: &[("LINCHPIN_SIMULATION_STEP_DAYS", "5")],
        measures: &[
            ("cost_off_percent_aws", Target::AtMost(1.0)),
            ("cost_off_percent_azure", Target::AtMost(1.0)),
            ("cost_off_percent_google", Target::AtMost(1.0)),
        ],
    },
    Shown {
        name: "tests_passed_model_of_the_clouds",
        package: "linchpin-store",
        filter: "model::",
        least: 6.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_stores_move_restore_and_lock",
        package: "linchpin-store",
        filter: "the_",
        least: 4.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_tiers_of_the_clouds_servers",
        package: "linchpin",
        filter: "tiers::",
        least: 3.0,
        variables: &[("LINCHPIN_CAMPAIGN_JOB_KILLS", "20")],
        measures: &[("job_processes_killed", Target::AtLeast(20.0))],
    },
    Shown {
        name: "tests_passed_enforcer",
        package: "linchpin-tiering",
        filter: "enforce::tests::",
        least: 9.0,
        variables: &[],
        measures: &[],
    },
    Shown {
        name: "tests_passed_rehydrate_scattered_events",
        package: "linchpin-tiering",
        filter: "scattered_events_come_back",
        least: 1.0,
        variables: &[("LINCHPIN_REHYDRATE_LONG", "1")],
        measures: &[
            ("rehydrate_events", Target::AtLeast(10_000.0)),
            ("rehydrate_deaths", Target::AtLeast(20.0)),
            ("rehydrate_bytes_read_to_block_bytes", Target::AtMost(5.0)),
            ("rehydrate_spent_to_budget", Target::AtMost(1.0)),
        ],
    },
];

pub(super) fn tiering(lab: &Lab) -> Result<Vec<Figure>> {
    all(lab, TIERING)
}

pub(super) fn spine(lab: &Lab) -> Result<Vec<Figure>> {
    all(lab, SPINE)
}

fn all(lab: &Lab, shown: &[Shown]) -> Result<Vec<Figure>> {
    let services = Running::start(&lab.workspace);
    let mut cargo = test::command(&lab.workspace, &services);
    let binaries = binaries(&mut cargo)?;
    let figures: Result<Vec<_>> = shown.iter().map(|shown| run(&cargo, &binaries, shown)).collect();
    Ok(figures?.concat())
}

/// A package's name, a test binary of it and the folder to run it in.
type Binary = (String, PathBuf, PathBuf);

/// Builds the tests of all packages at once: one alone would be built with other features, all anew.
fn binaries(cargo: &mut Command) -> Result<Vec<Binary>> {
    let built = observe(cargo.args(["--workspace", "--no-run", "--message-format=json"]))?;
    ensure!(built.status.success(), "the tests cannot be built: {}", built.stderr.trim());
    let messages = built.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(messages.filter_map(|message| binary(&message)).collect())
}

/// What a message of cargo says of a test binary.
fn binary(message: &Value) -> Option<Binary> {
    message["profile"]["test"].as_bool().filter(|test| *test)?;
    let (_, id) = message["package_id"].as_str()?.rsplit_once('#')?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    // A package that is named as its folder has only its version there.
    let name = match id.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => folder.file_name()?.to_string_lossy().into_owned(),
    };
    Some((name, message["executable"].as_str()?.into(), folder.to_owned()))
}

fn run(cargo: &Command, binaries: &[Binary], shown: &Shown) -> Result<Vec<Figure>> {
    let mut text = String::new();
    for (_, binary, folder) in binaries.iter().filter(|(package, ..)| package == shown.package) {
        let mut command = Command::new(binary);
        command.envs(cargo.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.envs(shown.variables.iter().copied()).current_dir(folder);
        text += &observe(command.args(["--show-output", shown.filter]))?.stdout;
    }
    let (passed, failed) = counted(&text).with_context(|| format!("no test ran: {}", text.trim()))?;
    ensure!(failed == 0.0, "{failed} tests of `{}` failed: {}", shown.filter, text.trim());
    let mut figures = vec![Figure { name: shown.name, value: passed, target: Target::AtLeast(shown.least) }];
    for (name, target) in shown.measures {
        let value = measured(&text, name).with_context(|| format!("no test measured `{name}`"))?;
        figures.push(Figure { name, value, target: *target });
    }
    Ok(figures)
}

/// The value of the last line `figure NAME VALUE`.
fn measured(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines().rev().filter_map(|line| line.strip_prefix("figure "));
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split(' ').next()?.parse().ok())
}

/// Passed and failed tests over all test binaries.
fn counted(text: &str) -> Option<(f64, f64)> {
    let mut totals = None;
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let before = |word: &str| -> Option<f64> {
            let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
            let at = words.iter().position(|found| *found == word)?;
            words.get(at.checked_sub(1)?)?.parse().ok()
        };
        let (passed, failed) = totals.unwrap_or((0.0, 0.0));
        totals = Some((passed + before("passed")?, failed + before("failed")?));
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_add_up() {
        let text = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.1s\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        assert_eq!(counted(text), Some((3.0, 1.0)));
        assert_eq!(counted("error: could not compile"), None);
    }

    #[test]
    fn what_a_test_measured_is_read_by_its_whole_name() {
        let text = "figure cost_off 1.5\nfigure cost_off_percent 0.25 of 7\nfigure cost 2\n";
        assert_eq!(measured(text, "cost_off_percent"), Some(0.25));
        assert_eq!(measured(text, "cost_off"), Some(1.5));
        assert_eq!(measured(text, "off"), None);
    }
}
