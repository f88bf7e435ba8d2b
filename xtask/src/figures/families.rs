//! Every family of formats: normalising beside the bare parse of the same bytes, and beside a program
//! of the `vrl` crate that makes about the same of them.

use std::{fs, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Figure, Lab, Target, lake::generate};
use crate::measure::measure;

/// A family as the bench names it, and its two figures.
struct Family {
    name: &'static str,
    share: &'static str,
    times: &'static str,
}

const FAMILIES: &[Family] = &[
    Family { name: "json_nested", share: "json_nested_share_of_bare_parse", times: "json_nested_times_vrl" },
    Family { name: "json_flat", share: "json_flat_share_of_bare_parse", times: "json_flat_times_vrl" },
    Family { name: "text", share: "text_share_of_bare_parse", times: "text_times_vrl" },
    Family { name: "key_value", share: "key_value_share_of_bare_parse", times: "key_value_times_vrl" },
    Family { name: "xml", share: "xml_share_of_bare_parse", times: "xml_times_vrl" },
];

/// Odd, so that there is a middle one.
const ROUNDS: usize = 5;

pub(super) fn families(lab: &Lab) -> Result<Vec<Figure>> {
    let folder = lab.workspace.scratch("families")?;
    generate(lab, &folder.join("json_nested"), "aws.cloudtrail", 100, 8)?;
    generate(lab, &folder.join("text"), "aws.vpc_flow", 50, 9)?;
    let program = lab.bare_parts()?.with_file_name("families");
    let done = measure(Command::new(program).arg(&folder).args(["--rounds", &ROUNDS.to_string()]))?;
    let report: Value = serde_json::from_str(&done.stdout).context("`families` printed no JSON")?;
    let mut figures = Vec::new();
    for Family { name, share, times } in FAMILIES {
        let number = |key: &str| report[name][key].as_f64().with_context(|| format!("{name}: no `{key}`"));
        let (bytes, whole, bare) = (number("bytes")?, number("normalise_seconds")?, number("parse_seconds")?);
        let log = folder.join(format!("{name}.log"));
        let mut vrl = Vec::new();
        for _ in 0..ROUNDS {
            let mut remap = Command::new(lab.vrl_remap()?);
            vrl.push(measure(remap.args(["--family", name]).arg(&log))?.usage.cpu_seconds);
        }
        vrl.sort_by(f64::total_cmp);
        let vrl = vrl[ROUNDS / 2];
        let speed = |seconds: f64| bytes / 1e6 / seconds;
        eprintln!(
            "  {name}: {:.0} MB per CPU second, bare parse {:.0}, vrl {:.0}",
            speed(whole),
            speed(bare),
            speed(vrl)
        );
        figures.push(Figure { name: share, value: bare / whole, target: Target::AtLeast(0.5) });
        figures.push(Figure { name: times, value: vrl / whole, target: Target::AtLeast(2.0) });
    }
    fs::remove_dir_all(&folder)?;
    Ok(figures)
}
