//! Guard rails of a policy, pointed at in its file.

use std::collections::BTreeSet;

use anyhow::Result;
use linchpin_config::{Diagnostic, Diagnostics, Feed, Located, Name, OutputTo};
use linchpin_normalize::plan::ClassPlan;
use linchpin_tiering::{
    policy::{self, RetentionClass},
    prices::{Book, Provider},
};

use crate::{deployment::Deployment, exit::Failure};

/// Refuses a policy that falls short of a regulation that the configuration names.
pub(crate) fn refuse_shortfalls(deployment: &Deployment) -> Result<()> {
    let mut faults = Vec::new();
    let config = &deployment.config;
    for regulation in &config.retention.regulations {
        let demand = policy::demand(regulation.value.preset);
        for class in bound(deployment, regulation.value.classes.as_deref()) {
            for (message, hint) in demand.shortfalls(class) {
                faults.push(at_class(deployment, &class.name, message, hint));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::usage(Diagnostics(sorted(faults)))) }
}

/// What is allowed, but hardly meant.
pub(crate) fn warnings(deployment: &Deployment) -> Result<Vec<String>> {
    let config = &deployment.config;
    let book = Book::of(config).map_err(Failure::usage)?;
    let providers: BTreeSet<Provider> =
        config.archives.value.iter().map(|(_, place)| Provider::of(place)).collect();
    let lags = config.outputs.iter().map(|output| (output.name.value.as_str(), output.max_lag.0));
    let slowest = lags.max_by_key(|(_, lag)| *lag);
    let classes = deployment.policy.classes();
    let found = policy::warnings(classes, &providers, slowest, &book);
    let mut shown: Vec<Diagnostic> = found
        .into_iter()
        .map(|warning| at_class(deployment, &classes[warning.class].name, warning.message, warning.hint))
        .collect();
    shown.extend(blind_feeds(deployment));
    Ok(sorted(shown).iter().map(as_warning).collect())
}

/// Feeds whose source never fills what a regulation wants to be known of an event.
fn blind_feeds(deployment: &Deployment) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let config = &deployment.config;
    for regulation in &config.retention.regulations {
        let demand = policy::demand(regulation.value.preset);
        for feed in &config.feeds.value {
            let Some(filled) = filled_columns(deployment, feed) else { continue };
            for group in demand.missing(&filled) {
                let columns: Vec<String> = group.iter().map(|column| format!("`{column}`")).collect();
                let name = feed.name.value.as_str();
                let message = format!(
                    "source `{}` of feed `{name}` fills none of {}, but `{}` asks for one",
                    feed.source(),
                    columns.join(", "),
                    demand.name
                );
                let hint = format!("keep a feed beside it that does ({})", demand.source);
                found.push(config.source.diagnostic(feed.name.span, name, message, Some(hint)));
            }
        }
    }
    found
}

/// The columns that a feed's source may fill; `None` where it is only known from the logs.
fn filled_columns(deployment: &Deployment, feed: &Feed) -> Option<Vec<&'static str>> {
    let plans = deployment.catalog.plans();
    let plan = plans.iter().find(|plan| *plan.name == *feed.source())?;
    Some(plan.classes.iter().flat_map(ClassPlan::columns).collect())
}

/// The classes that a regulation binds.
fn bound<'d>(
    deployment: &'d Deployment,
    names: Option<&'d [Located<Name>]>,
) -> impl Iterator<Item = &'d RetentionClass> {
    let named = move |class: &&RetentionClass| {
        names.is_none_or(|names| names.iter().any(|name| name.value.as_str() == class.name))
    };
    deployment.policy.classes().iter().filter(named)
}

fn at_class(deployment: &Deployment, name: &str, message: String, hint: String) -> Diagnostic {
    let config = &deployment.config;
    let class = config.retention.classes.value.iter().find(|(class, _)| class.value.as_str() == name);
    let span = class.map_or(config.retention.classes.span, |(class, _)| class.span);
    config.source.diagnostic(span, name, message, Some(hint))
}

fn sorted(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    found.dedup();
    found
}

/// A diagnostic that is no error.
fn as_warning(diagnostic: &Diagnostic) -> String {
    diagnostic.to_string().replacen(": error: ", ": warning: ", 1)
}

/// Whether an output brings events to somebody who charges for them.
pub(crate) fn is_siem(to: &OutputTo) -> bool {
    !matches!(to, OutputTo::Ndjson(_))
}
