//! Every figure that was promised, measured anew: `name: value (target) ok|SHORT`, one line each.
//!
//! A topic is a table of measurements; a measurement does its work and gives its figures. Nothing is
//! printed that this run did not measure: what fails to be measured is said on standard error and
//! makes the run fail.

mod catalogue;
mod clouds;
mod crash;
mod efficiency;
mod families;
pub(crate) mod lake;
mod peers;
mod shown;
mod spine;

use std::{
    cell::OnceCell,
    env, fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

pub(crate) use self::spine::ingest;
use crate::workspace::{Workspace, run};

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    Exactly(f64),
}

impl Target {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            // Counts: whole numbers far below 2^53.
            Self::Exactly(wanted) => (value - wanted).abs() < f64::EPSILON,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::Exactly(wanted) => write!(f, "= {wanted}"),
        }
    }
}

/// One measured number. Its unit, if it has one, ends its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) target: Target,
}

impl Figure {
    fn ok(&self) -> bool {
        self.target.holds(self.value)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ok() { "ok" } else { "SHORT" };
        // Three decimals, unless the number is whole: rounding must not turn SHORT into a pass.
        let decimals = if self.value.fract() == 0.0 { 0 } else { 3 };
        write!(f, "{}: {:.decimals$} ({}) {verdict}", self.name, self.value, self.target)
    }
}

/// A piece of work that gives figures.
pub(crate) struct Measurement {
    /// What is measured, for who waits for it; also the name of its scratch folder.
    pub(crate) name: &'static str,
    pub(crate) measure: fn(&Lab) -> Result<Vec<Figure>>,
}

/// Measurements of one part of the product.
struct Topic {
    name: &'static str,
    measurements: &'static [Measurement],
}

/// Every topic: one row each.
const TOPICS: &[Topic] = &[
    Topic { name: "spine", measurements: spine::MEASUREMENTS },
    Topic { name: "catalogue", measurements: catalogue::MEASUREMENTS },
    Topic { name: "ingest", measurements: &[] },
    Topic { name: "tiering", measurements: &[Measurement { name: "tests", measure: shown::tiering }] },
    Topic { name: "hunt", measurements: &[] },
    Topic { name: "outputs", measurements: &[] },
    Topic { name: "console", measurements: &[] },
    Topic { name: "speed", measurements: &[] },
];

/// Names of the topics.
pub(crate) fn topics() -> Vec<&'static str> {
    TOPICS.iter().map(|topic| topic.name).collect()
}

/// What measurements work with.
pub(crate) struct Lab {
    pub(crate) workspace: Workspace,
    linchpin: OnceCell<PathBuf>,
    bare_parts: OnceCell<PathBuf>,
    vrl_remap: OnceCell<PathBuf>,
}

/// Names a release build of `linchpin` to measure instead of building one.
const BINARY_VARIABLE: &str = "LINCHPIN_BINARY";

impl Lab {
    /// `linchpin` is a release build to measure, if not one of this checkout; it can also be named by
    /// the variable [`BINARY_VARIABLE`].
    pub(crate) fn new(workspace: &Workspace, linchpin: Option<PathBuf>) -> Result<Self> {
        let named = linchpin.or_else(|| env::var_os(BINARY_VARIABLE).map(PathBuf::from));
        // Measurements run it from folders of their own.
        let named = named
            .map(|path| path.canonicalize().with_context(|| format!("cannot find `{}`", path.display())));
        Ok(Self {
            workspace: workspace.clone(),
            linchpin: named.transpose()?.map_or_else(OnceCell::new, OnceCell::from),
            bare_parts: OnceCell::new(),
            vrl_remap: OnceCell::new(),
        })
    }

    /// The release build of `linchpin`, made when it is first asked for.
    pub(crate) fn linchpin(&self) -> Result<PathBuf> {
        let target = &self.workspace.target;
        self.program(&self.linchpin, &["--package", "linchpin"], target, "linchpin")
    }

    /// The release build of `bare-parts`, made when it is first asked for. It is no member of the
    /// workspace, so its dependencies are built apart.
    pub(crate) fn bare_parts(&self) -> Result<PathBuf> {
        let target = self.workspace.target.join("bench");
        self.program(&self.bare_parts, &["--manifest-path", "bench/Cargo.toml"], &target, "bare-parts")
    }

    /// The release build of `vrl-remap`, made when it is first asked for; a workspace of its own too.
    pub(crate) fn vrl_remap(&self) -> Result<PathBuf> {
        let target = self.workspace.target.join("bench");
        self.program(&self.vrl_remap, &["--manifest-path", "bench/vrl/Cargo.toml"], &target, "vrl-remap")
    }

    fn program(
        &self,
        built: &OnceCell<PathBuf>,
        package: &[&str],
        target: &Path,
        name: &str,
    ) -> Result<PathBuf> {
        if let Some(program) = built.get() {
            return Ok(program.clone());
        }
        let mut cargo = self.workspace.cargo(&["build", "--quiet", "--release"]);
        run(cargo.args(package).arg("--target-dir").arg(target))?;
        Ok(built.get_or_init(|| target.join("release").join(name)).clone())
    }
}

/// `figures [TOPIC [MEASUREMENT]]`.
pub(crate) fn figures(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let (topic, name) = match arguments {
        [] => (None, None),
        [topic] => (Some(topic), None),
        [topic, name] => (Some(topic), Some(name)),
        _ => bail!("give at most a topic and one of its measurements"),
    };
    let chosen: Vec<&Topic> =
        TOPICS.iter().filter(|known| topic.is_none_or(|topic| known.name == topic)).collect();
    if chosen.is_empty() {
        bail!("there is no topic `{}`\nhint: topics are {}", arguments.join(" "), topics().join(", "));
    }
    let lab = Lab::new(workspace, None)?;
    let mut good = true;
    for topic in chosen {
        let named = |m: &&Measurement| name.is_none_or(|name| m.name == name);
        let measurements: Vec<_> = topic.measurements.iter().filter(named).collect();
        match (measurements.is_empty(), name) {
            (false, _) => {}
            (true, None) => eprintln!("{}: nothing is measured for this topic yet", topic.name),
            (true, Some(name)) => bail!("`{}` has no measurement `{name}`", topic.name),
        }
        for measurement in measurements {
            eprintln!("{}: measuring {}", topic.name, measurement.name);
            good &= print(measurement, (measurement.measure)(&lab));
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what came out; says whether all of it is good.
fn print(measurement: &Measurement, outcome: Result<Vec<Figure>>) -> bool {
    match outcome {
        Ok(figures) => {
            for figure in &figures {
                println!("{figure}");
            }
            figures.iter().all(Figure::ok)
        }
        Err(error) => {
            eprintln!("{}: not measured: {error:#}", measurement.name);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, target: Target) -> String {
        Figure { name: "peak_mib", value, target }.to_string()
    }

    #[test]
    fn a_line_says_value_target_and_verdict() {
        assert_eq!(figure(201.4567, Target::AtMost(256.0)), "peak_mib: 201.457 (<= 256) ok");
        assert_eq!(figure(256.0004, Target::AtMost(256.0)), "peak_mib: 256.000 (<= 256) SHORT");
        assert_eq!(figure(1.7, Target::AtLeast(1.7)), "peak_mib: 1.700 (>= 1.7) ok");
        assert_eq!(figure(1.69, Target::AtLeast(1.7)), "peak_mib: 1.690 (>= 1.7) SHORT");
        assert_eq!(figure(0.0, Target::Exactly(0.0)), "peak_mib: 0 (= 0) ok");
        assert_eq!(figure(1.0, Target::Exactly(0.0)), "peak_mib: 1 (= 0) SHORT");
        assert_eq!(figure(f64::NAN, Target::AtMost(1.0)), "peak_mib: NaN (<= 1) SHORT");
    }

    #[test]
    fn what_is_short_or_unmeasured_is_not_good() {
        let measurement = Measurement { name: "m", measure: |_| Ok(Vec::new()) };
        let one = |value| Ok(vec![Figure { name: "n", value, target: Target::AtMost(1.0) }]);
        assert!(print(&measurement, one(1.0)));
        assert!(!print(&measurement, one(2.0)));
        assert!(!print(&measurement, Err(anyhow::anyhow!("no disk"))));
    }
}
