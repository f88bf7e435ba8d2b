//! What tests show: chosen tests are run, and those that passed are counted.

use anyhow::{Context, Result, ensure};

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
}

/// What the tests of the spine show: one row each.
const SPINE: &[Shown] = &[
    Shown {
        name: "tests_passed_ledger_conflict",
        package: "linchpin-tiering",
        filter: "ledger::tests::concurrent_committers_consume_every_unit_exactly_once",
        least: 1.0,
        variables: &[],
    },
    Shown {
        name: "tests_passed_standard_tools_read_a_segment",
        package: "linchpin-tiering",
        filter: "archive::tests::standard_tools_read_a_segment",
        least: 1.0,
        variables: &[],
    },
    Shown {
        name: "tests_passed_events_in_equal_events_out",
        package: "linchpin",
        filter: "property::",
        least: 1.0,
        variables: &[("LINCHPIN_CAMPAIGN_CASES", "60")],
    },
    Shown {
        name: "tests_passed_lanes_and_take_over",
        package: "linchpin",
        filter: "outputs::",
        least: 1.0,
        variables: &[],
    },
    Shown {
        name: "tests_passed_other_engines_read_the_hot_table",
        package: "linchpin",
        filter: "engines::",
        least: 1.0,
        variables: &[],
    },
];

/// What the tests of tiering show.
const TIERING: &[Shown] = &[
    Shown {
        name: "tests_passed_stores_and_their_model",
        package: "linchpin-store",
        filter: "tests::",
        least: 20.0,
        variables: &[],
    },
    Shown {
        name: "tests_passed_enforcer",
        package: "linchpin-tiering",
        filter: "enforce::tests::",
        least: 9.0,
        variables: &[],
    },
    Shown {
        name: "tests_passed_rehydration_jobs",
        package: "linchpin-tiering",
        filter: "jobs::",
        least: 1.0,
        variables: &[],
    },
];

pub(super) fn tiering(lab: &Lab) -> Result<Vec<Figure>> {
    TIERING.iter().map(|shown| run(lab, shown)).collect()
}

pub(super) fn spine(lab: &Lab) -> Result<Vec<Figure>> {
    SPINE.iter().map(|shown| run(lab, shown)).collect()
}

fn run(lab: &Lab, shown: &Shown) -> Result<Figure> {
    let services = Running::start(&lab.workspace);
    let mut command = test::command(&lab.workspace, &services);
    let done = observe(command.envs(shown.variables.iter().copied()).args([
        "--package",
        shown.package,
        "--",
        shown.filter,
    ]))?;
    let (passed, failed) = counted(&done.stdout)
        .with_context(|| format!("no test ran ({}): {}", done.status, done.stderr.trim()))?;
    ensure!(failed == 0.0, "{failed} tests of `{}` failed: {}", shown.filter, done.stdout.trim());
    Ok(Figure { name: shown.name, value: passed, target: Target::AtLeast(shown.least) })
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
}
