//! Figures of tiering: ten years on the model of the clouds, and the tests on it and on real servers.

use anyhow::{Context, Result, ensure};

use super::{Figure, Lab, Measurement, Target, shown};
use crate::{measure::observe, services::Running, test};

pub(super) const MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "tests", measure: shown::tiering },
    Measurement { name: "simulation", measure: simulation },
    Measurement { name: "rehydration", measure: rehydration },
];

/// The simulation's test, and the days of its steps: shorter than in the test suite.
const SIMULATION: &str = "enforce::simulation::ten_years_of_three_clouds";
const STEP_DAYS: &str = "5";

/// What the simulation prints, and the figures made of it: how far the bill of each cloud is from the
/// plan, in percent. That nothing held or unexpired is deleted, and everything is in the class that the
/// policy says, is asserted at every step.
const PRINTED: &[(&str, &str)] = &[
    ("cost_off_percent_aws", "tiering_cost_off_percent_s3"),
    ("cost_off_percent_azure", "tiering_cost_off_percent_azure"),
    ("cost_off_percent_google", "tiering_cost_off_percent_gcs"),
];

/// The test of a job whose process dies again and again; the variable makes it 10,000 events in 1,000
/// segments.
const REHYDRATION: &str = "jobs::tests::lake::scattered_events";
const REHYDRATION_LONG: (&str, &str) = ("LINCHPIN_REHYDRATE_LONG", "1");

/// What that test prints, the figures made of it, and their targets. That every event comes back once is
/// asserted.
const REHYDRATED: &[(&str, &str, Target)] = &[
    ("rehydrate_events", "rehydrate_scattered_events", Target::AtLeast(10_000.0)),
    ("rehydrate_bytes_read_to_block_bytes", "rehydrate_read_to_block_bytes", Target::AtMost(5.0)),
    ("rehydrate_deaths", "rehydrate_kills_survived", Target::AtLeast(20.0)),
    ("rehydrate_spent_to_budget", "rehydrate_spent_to_budget", Target::AtMost(1.0)),
];

fn rehydration(lab: &Lab) -> Result<Vec<Figure>> {
    let services = Running::default();
    let mut command = test::command(&lab.workspace, &services);
    command.env(REHYDRATION_LONG.0, REHYDRATION_LONG.1);
    let done =
        observe(command.args(["--package", "linchpin-tiering", "--lib", "--", REHYDRATION, "--nocapture"]))?;
    ensure!(done.stdout.contains("1 passed; 0 failed"), "the rehydration failed: {}", done.stdout.trim());
    let figure = |(printed, name, target): &(&str, &'static str, Target)| {
        let value = printed_value(&done.stdout, printed).with_context(|| format!("no `{printed}`"))?;
        Ok(Figure { name, value, target: *target })
    };
    REHYDRATED.iter().map(figure).collect()
}

fn simulation(lab: &Lab) -> Result<Vec<Figure>> {
    let services = Running::default();
    let mut command = test::command(&lab.workspace, &services);
    command.env("LINCHPIN_SIMULATION_STEP_DAYS", STEP_DAYS);
    let done =
        observe(command.args(["--package", "linchpin-tiering", "--lib", "--", SIMULATION, "--nocapture"]))?;
    ensure!(done.stdout.contains("1 passed; 0 failed"), "the simulation failed: {}", done.stdout.trim());
    PRINTED
        .iter()
        .map(|(printed, name)| {
            let value = printed_value(&done.stdout, printed).with_context(|| format!("no `{printed}`"))?;
            Ok(Figure { name, value, target: Target::AtMost(1.0) })
        })
        .collect()
}

/// The value of a line `figure NAME VALUE`.
fn printed_value(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let mut words = line.split_once("figure ")?.1.split(' ');
        (words.next() == Some(name)).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_figure_is_found_by_its_name() {
        let text = "test a ... figure off_a 0.5 planned 1\nfigure off_b 1.25\n";
        assert_eq!(printed_value(text, "off_a"), Some(0.5));
        assert_eq!(printed_value(text, "off_b"), Some(1.25));
        assert_eq!(printed_value(text, "off"), None);
    }
}
