//! A first mapping for a format that nobody knows yet, made from a sample of it.
//!
//! [`of`] guesses how events are found, lists their fields with kinds, guesses the time and what
//! some fields mean, and tries the OCSF classes that those would fill, until the mapping gives valid
//! events of its own sample. What it could not guess it lists as comments, for a person to go on.

mod guess;
mod shape;

use std::{fmt::Write as _, sync::Arc};

use crate::catalog::{Catalog, under};
use crate::inventory::Inventory;
use crate::samples::{self, Sample};
use crate::{Normalizer, compile};

use shape::{Shape, quoted};

/// Most conditions of `recognise` that are tried.
const CONDITIONS_MAX: usize = 12;
/// Conditions to begin with.
const CONDITIONS: usize = 4;
/// Largest part of the events that a class may leave to class 0, in percent.
const UNREAD_MAX: usize = 10;
/// Name of the sample's file.
const SAMPLE: &str = "sample.log";

/// A mapping, and what became of its sample.
#[derive(Debug)]
pub struct Scaffold {
    /// The text of `source.yml`.
    pub mapping: String,
    /// Name of the sample's file in `tests`.
    pub sample_file: &'static str,
    /// What the sample becomes under the mapping.
    pub sample: Sample,
}

/// Why there is no mapping for a sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaffoldError {
    /// There is nothing to look at.
    #[error("the sample has no events")]
    Empty,
    /// Another source has the sample already.
    #[error("the sample is recognised as `{0}`\nhint: `linchpin normalize` reads it as it is")]
    Known(String),
    /// No class could be filled.
    #[error("no mapping was found: {0}")]
    Unmapped(String),
}

/// A class to try: the attributes that must be known for it, what is set, and what is mapped under
/// another name than that of the meaning.
struct Candidate {
    class: &'static str,
    needs: &'static [&'static str],
    /// Words of which one must occur in the fields' names or values; none: no such condition.
    words: &'static [&'static str],
    set: &'static str,
    renames: &'static [(&'static str, &'static str)],
}

/// The classes, the most telling first; the last fits everything.
const CANDIDATES: &[Candidate] = &[
    Candidate {
        class: "dns_activity",
        needs: &["query.hostname"],
        words: &["dns", "qname", "qtype", "querytype", "rcode"],
        set: "activity: Query",
        renames: &[],
    },
    Candidate {
        class: "http_activity",
        needs: &["http_request.http_method"],
        words: &[],
        set: "",
        renames: &[("http_request.http_method | http_activity", "activity")],
    },
    Candidate {
        class: "detection_finding",
        needs: &["finding"],
        words: &["alert", "threat", "signature", "malware", "finding", "attack"],
        set: "activity: Create",
        renames: &[("finding", "finding_info.title"), ("metadata.uid", "finding_info.uid")],
    },
    Candidate {
        class: "authentication",
        needs: &["user.name"],
        words: &["login", "logon", "signin", "loggedin", "authenticat", "mfa", "logout", "password"],
        set: "activity: Logon",
        renames: &[],
    },
    Candidate {
        class: "network_activity",
        needs: &["src_endpoint.ip", "dst_endpoint.ip"],
        words: &[],
        set: "activity: Traffic",
        renames: &[],
    },
    Candidate {
        class: "api_activity",
        needs: &["operation", "user.name", "src_endpoint.ip"],
        words: &[],
        set: "",
        renames: &[
            ("operation | api_activity", "activity"),
            ("operation", "api.operation"),
            ("user.name", "actor.user.name"),
        ],
    },
    Candidate { class: "base_event", needs: &[], words: &[], set: "activity: Other", renames: &[] },
];

/// Makes a mapping called `name` (`vendor.product`) for the events of a sample. `catalog` are the
/// sources that it will stand beside.
pub fn of(catalog: &Catalog, name: &str, bytes: &[u8]) -> Result<Scaffold, ScaffoldError> {
    let shape = shape::of(bytes);
    let seen = inventory(name, &shape, bytes)?;
    let time = guess::time(&seen);
    let meanings = guess::meanings(&seen);
    let words = words(&seen);
    let mut why = String::new();
    for candidate in CANDIDATES.iter().filter(|c| fits(c, &meanings, &words)) {
        let mut conditions = CONDITIONS;
        loop {
            let draft = Draft {
                name,
                shape: &shape,
                seen: &seen,
                time: time.as_deref(),
                meanings: &meanings,
                candidate,
            };
            let mapping = draft.text(conditions);
            match attempt(catalog, name, &mapping, bytes) {
                Ok(sample) => return Ok(Scaffold { mapping, sample_file: SAMPLE, sample }),
                // Other sources know it as well: say more of what it looks like.
                Err(Fault::Known(_)) if shape.json && conditions < CONDITIONS_MAX => conditions += CONDITIONS,
                Err(Fault::Known(other)) => return Err(ScaffoldError::Known(other)),
                Err(Fault::Unfit(fault)) => {
                    why = fault;
                    break;
                }
            }
        }
    }
    Err(ScaffoldError::Unmapped(why))
}

/// Why a draft will not do.
enum Fault {
    /// The sample is of another source.
    Known(String),
    Unfit(String),
}

/// Tries a mapping on its sample, among the other sources.
fn attempt(catalog: &Catalog, name: &str, mapping: &str, bytes: &[u8]) -> Result<Sample, Fault> {
    let plan = compile("source.yml", mapping).map_err(|faults| Fault::Unfit(faults.to_string()))?;
    let source = Arc::clone(&plan.name);
    let mut normalizer = Normalizer::new(Arc::new(catalog.clone().with(plan)));
    let folder = folder(name);
    let sample = samples::run(&mut normalizer, &format!("{folder}/{SAMPLE}"), bytes.to_vec(), Some(&source));
    if *sample.source != *source {
        return Err(Fault::Known(sample.source.to_string()));
    }
    let unread = sample.documents.iter().filter(|d| d["metadata"]["labels"][0] == "reject").count();
    match sample.faults.first() {
        Some(fault) => Err(Fault::Unfit(fault.clone())),
        None if unread * 100 > sample.documents.len() * UNREAD_MAX => Err(Fault::Unfit(format!(
            "{unread} of {} events lack what the class needs",
            sample.documents.len()
        ))),
        None => Ok(sample),
    }
}

/// The folder of a source.
pub fn folder(name: &str) -> String {
    name.replace('.', "_")
}

/// What the events of the sample look like, before anything of them is mapped.
fn inventory(name: &str, shape: &Shape, bytes: &[u8]) -> Result<Inventory, ScaffoldError> {
    let yaml = &shape.yaml;
    let mapping = format!(
        "source: {name}\nproduct: {{ vendor_name: Sample, name: Sample }}\n{yaml}classes:\n  - class: base_event\n    \
         set: {{ activity: Other, severity: Informational }}\n    map: {{ time: \"'0' | unix_seconds\" }}\n"
    );
    let unfit = |fault: String| ScaffoldError::Unmapped(fault);
    let plan = compile("source.yml", &mapping).map_err(|faults| unfit(faults.to_string()))?;
    let source = Arc::clone(&plan.name);
    let catalog = Catalog::new([]).map_err(|faults| unfit(faults.to_string()))?.with(plan);
    let mut normalizer = Normalizer::watching(Arc::new(catalog));
    samples::run(&mut normalizer, SAMPLE, bytes.to_vec(), Some(&source));
    normalizer.seen().remove(&source).ok_or(ScaffoldError::Empty)
}

/// Names and short values of the fields, in lower case, to look for words.
fn words(seen: &Inventory) -> String {
    let mut words = String::new();
    for (path, kinds) in &seen.fields {
        words.push_str(&guess::last_word(path));
        words.push(' ');
        for seen in kinds.values().filter(|seen| seen.example.len() <= 40) {
            words.push_str(&seen.example.to_ascii_lowercase());
            words.push(' ');
        }
    }
    words
}

fn fits(candidate: &Candidate, meanings: &[(&'static str, String)], words: &str) -> bool {
    candidate.needs.iter().all(|need| meanings.iter().any(|(attribute, _)| attribute == need))
        && (candidate.words.is_empty() || candidate.words.iter().any(|word| words.contains(word)))
}

/// A mapping under construction.
struct Draft<'d> {
    name: &'d str,
    shape: &'d Shape,
    seen: &'d Inventory,
    time: Option<&'d str>,
    meanings: &'d [(&'static str, String)],
    candidate: &'d Candidate,
}

impl Draft<'_> {
    fn text(&self, conditions: usize) -> String {
        let Candidate { class, set, .. } = self.candidate;
        let (vendor, product) = self.name.split_once('.').unwrap_or((self.name, self.name));
        let mut text = format!(
            "source: {}\ntitle: {vendor} {product}\nocsf: 1.8.0\nproduct: {{ vendor_name: {}, name: {} }}\n",
            self.name,
            quoted(vendor),
            quoted(product)
        );
        text.push_str(&self.recognise(conditions));
        text.push_str(&self.shape.yaml);
        let rules = self.rules();
        let mut set: Vec<String> = Some((*set).to_owned()).filter(|s| !s.is_empty()).into_iter().collect();
        set.push("severity: Informational".to_owned());
        if *class == "authentication" {
            set.push(format!("service.name: {}", quoted(product)));
        }
        let _ = writeln!(text, "classes:\n  - class: {class}\n    set: {{ {} }}\n    map:", set.join(", "));
        for (target, expression) in &rules {
            let _ = writeln!(text, "      {target}: '{}'", expression.replace('\'', "''"));
        }
        text.push_str(&self.unmapped(&rules));
        text
    }

    /// What tells a sample's objects from others: fields that every event has, or how a line looks.
    fn recognise(&self, conditions: usize) -> String {
        if let Some(glob) = &self.shape.text {
            return format!("recognise:\n  text: [{}]\n", quoted(glob));
        }
        if !self.shape.json {
            return String::new();
        }
        let always = |kinds: &std::collections::BTreeMap<String, crate::inventory::Seen>| {
            kinds.values().map(|seen| seen.events).sum::<u64>() >= self.seen.events
        };
        let mut paths: Vec<&str> = self
            .seen
            .fields
            .iter()
            .filter(|(_, kinds)| always(kinds))
            .map(|(path, _)| path.as_str())
            .collect();
        // Long names are rarer than short ones.
        paths.sort_by_key(|path| std::cmp::Reverse(guess::last_word(path).len()));
        paths.truncate(conditions);
        let paths: Vec<String> = paths.into_iter().map(quoted).collect();
        if paths.is_empty() { String::new() } else { format!("recognise:\n  has: [{}]\n", paths.join(", ")) }
    }

    /// Targets and their expressions.
    fn rules(&self) -> Vec<(String, String)> {
        let class = crate::schema::schema().class(self.candidate.class);
        let has = |target: &str| {
            class.is_some_and(|class| crate::schema::resolve(crate::schema::schema(), class, target).is_ok())
        };
        let time = self.time.unwrap_or("time | rfc3339");
        let mut rules = vec![("time".to_owned(), time.to_owned())];
        let taken = time.split(" | ").next().unwrap_or_default();
        for (attribute, path) in self.meanings.iter().filter(|(_, path)| path != taken) {
            let mut renamed = false;
            for (from, target) in self.candidate.renames {
                let (meaning, function) = from.split_once(" | ").map_or((*from, ""), |(m, f)| (m, f));
                if meaning == *attribute {
                    let through = if function.is_empty() { String::new() } else { format!(" | {function}") };
                    rules.push(((*target).to_owned(), format!("{path}{through}")));
                    renamed |= function.is_empty();
                }
            }
            if !renamed && has(attribute) {
                let through = if attribute.rsplit('.').next() == Some("ip") { " | ip" } else { "" };
                rules.push(((*attribute).to_owned(), format!("{path}{through}")));
            }
        }
        rules
    }

    /// What is left for a person, as comments.
    fn unmapped(&self, rules: &[(String, String)]) -> String {
        let taken = |path: &str| {
            rules.iter().any(|(_, expression)| {
                expression.split([' ', '|', '~']).any(|word| !word.is_empty() && under(path, word, false))
            })
        };
        let mut text = String::new();
        for (path, kinds) in self.seen.fields.iter().filter(|(path, _)| !taken(path)) {
            let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
            let example = kinds.values().next().map_or("", |seen| seen.example.as_str());
            let example: String = example.chars().filter(|c| !c.is_control()).collect();
            let _ = writeln!(text, "      # {path}: {}, such as `{example}`", names.join(" or "));
        }
        if text.is_empty() {
            text
        } else {
            format!("      # Fields without a rule go to `unmapped`:\n{text}")
        }
    }
}

#[cfg(test)]
mod tests;
