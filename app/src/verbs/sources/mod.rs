//! `linchpin sources`: what can be normalised, and whether a folder of mappings is sound.

mod check;
mod new;

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use clap::Args;
use linchpin_normalize::{Catalog, Plan, functions::FUNCTIONS, schema};
use serde_json::{Value, json};

pub(crate) use check::{Mapping, catalog, faults, mappings};

use crate::table::Table;

/// List what can be normalised, check a folder of mappings, or begin a new one.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin sources\n  linchpin sources --new acme.door --from door.log\n  linchpin sources --check ./acme_door"
)]
pub(crate) struct SourcesArgs {
    /// Check this mapping, or every mapping in this folder: run their samples (`tests/*.log`), compare
    /// them with what is expected, and show how much of them is mapped
    #[arg(long, value_name = "DIR")]
    pub check: Option<PathBuf>,
    /// With `--check`: write what the samples become (`tests/*.expected.json`) instead of comparing it
    #[arg(long, requires = "check")]
    pub update: bool,
    /// Begin the mapping of a new source, called so (`vendor.product`), from a sample of its logs
    #[arg(long, value_name = "NAME", requires = "from", conflicts_with = "check")]
    pub new: Option<String>,
    /// With `--new`: a file with a few events
    #[arg(long, value_name = "SAMPLE", requires = "new")]
    pub from: Option<PathBuf>,
    /// With `--new`: where the folder is made
    #[arg(long, value_name = "DIR", requires = "new", default_value = ".")]
    pub dir: PathBuf,
    /// List the functions of mappings, each with an example
    #[arg(long, conflicts_with = "check")]
    pub functions: bool,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn run(args: &SourcesArgs) -> Result<()> {
    let catalog = Catalog::builtin().context("a built-in mapping is broken")?;
    let mut out = io::stdout().lock();
    if let (Some(name), Some(from)) = (&args.new, &args.from) {
        return new::new(&catalog, name, from, &args.dir, args.json, &mut out);
    }
    match (&args.check, args.functions) {
        (Some(dir), _) => check::check(catalog, dir, args.update, args.json, &mut out),
        (None, true) => functions(args.json, &mut out),
        (None, false) => list(&catalog, args.json, &mut out),
    }
}

/// OCSF classes of a source, each once, in order of their ids.
fn classes(plan: &Plan) -> Vec<&'static schema::Class> {
    let mut classes: Vec<_> = plan.classes.iter().map(|c| c.class).collect();
    classes.sort_by_key(|class| class.uid);
    classes.dedup_by_key(|class| class.uid);
    classes
}

fn list(catalog: &Catalog, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut plans: Vec<&Plan> = catalog.plans().iter().map(Arc::as_ref).collect();
    plans.sort_by(|a, b| a.name.cmp(&b.name));
    if as_json {
        let class = |c: &&schema::Class| json!({ "uid": c.uid, "name": c.name, "caption": c.caption });
        let source = |plan: &&Plan| {
            let classes: Vec<Value> = classes(plan).iter().map(class).collect();
            json!({ "name": &*plan.name, "title": plan.title, "classes": classes })
        };
        writeln!(out, "{}", Value::Array(plans.iter().map(source).collect()))?;
        return Ok(());
    }
    let mut table = Table::new(["SOURCE", "WHAT IT IS", "OCSF CLASSES"]);
    for plan in plans {
        let classes: Vec<String> =
            classes(plan).iter().map(|c| format!("{} ({})", c.caption, c.uid)).collect();
        table.row([plan.name.to_string(), plan.title.clone(), classes.join(", ")]);
    }
    Ok(table.print(out)?)
}

fn functions(as_json: bool, out: &mut dyn Write) -> Result<()> {
    if as_json {
        let function = |f: &linchpin_normalize::functions::Function| json!({ "name": f.name, "doc": f.doc, "example": { "input": f.example.0, "output": f.example.1 } });
        writeln!(out, "{}", Value::Array(FUNCTIONS.iter().map(function).collect()))?;
        return Ok(());
    }
    let mut table = Table::new(["FUNCTION", "WHAT IT GIVES", "EXAMPLE"]);
    for f in FUNCTIONS {
        table.row([f.name.to_owned(), f.doc.to_owned(), format!("`{}` => `{}`", f.example.0, f.example.1)]);
    }
    Ok(table.print(out)?)
}
