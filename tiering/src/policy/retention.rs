//! Retention classes and the rules that assign them.

use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use linchpin_config::{Located, Lock, Name, Retention, nearest};

use super::{PolicyFault, PolicyPlace, Predicate, PredicateError, rule_schema};
use crate::tiers::Step;

/// Most classes of a policy.
pub const CLASSES_MAX: usize = 64;

/// How long the rows and the archived events of a class are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionClass {
    /// Name: lowercase letters, digits, `_` and `-` (it is a part of object names).
    pub name: String,
    /// How long its rows stay in the hot table, counted from the event's day.
    pub hot: Duration,
    /// How long its archived events are kept, counted from their commit.
    pub expire: Duration,
    /// Moves of its archived events to other storage classes, by when.
    pub tiers: Vec<Step>,
    /// Object lock of its archived events.
    pub lock: Option<Lock>,
}

impl RetentionClass {
    /// A class whose archived events stay where they are put, without a lock.
    pub fn new(name: &str, hot: Duration, expire: Duration) -> Self {
        Self { name: name.to_owned(), hot, expire, tiers: Vec::new(), lock: None }
    }

    /// All classes of a configuration, in its order.
    pub fn all(retention: &Retention) -> Vec<Self> {
        let class = |(name, class): &(Located<Name>, linchpin_config::RetentionClass)| {
            let archive = &class.archive;
            let first = Step { after: archive.after.value.0, class: archive.class };
            let later =
                archive.moves.iter().map(|(to, after)| Step { after: after.value.0, class: to.value });
            Self {
                name: name.value.as_str().to_owned(),
                hot: class.hot.value.0,
                expire: class.expire.value.0,
                tiers: std::iter::once(first).chain(later).collect(),
                lock: class.lock,
            }
        };
        retention.classes.value.iter().map(class).collect()
    }
}

/// One rule as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// Name, for people.
    pub name: String,
    /// Predicate; `None` matches everything.
    pub when: Option<String>,
    /// Name of the class it gives.
    pub class: String,
}

impl RetentionRule {
    /// All rules of a configuration, in its order.
    pub fn all(retention: &Retention) -> Vec<Self> {
        let rule = |rule: &linchpin_config::Rule| Self {
            name: rule.name.value.clone(),
            when: rule.when.as_ref().map(|when| when.value.clone()),
            class: rule.class.value.as_str().to_owned(),
        };
        retention.rules.value.iter().map(rule).collect()
    }
}

/// A checked policy: every row gets exactly one class.
#[derive(Debug, Clone)]
pub struct RetentionPolicy {
    classes: Vec<RetentionClass>,
    /// Class by class, its place when sorted from the shortest kept to the longest.
    ranks: Vec<u8>,
    rules: Vec<(Predicate, u8)>,
}

impl RetentionPolicy {
    /// Checks classes and rules; gives every fault, in their order.
    pub fn compile(classes: &[RetentionClass], rules: &[RetentionRule]) -> Result<Self, Vec<PolicyFault>> {
        let mut faults = class_faults(classes);
        let mut compiled = Vec::with_capacity(rules.len());
        let mut catch_all: Option<&str> = None;
        if rules.len() >= usize::from(UNDECIDED) {
            let message = format!("a policy has fewer than {UNDECIDED} rules, not {}", rules.len());
            faults.push(fault(PolicyPlace::Policy, PredicateError::new(message)));
        }
        for (n, rule) in rules.iter().enumerate() {
            if let Some(name) = catch_all {
                let message =
                    format!("rule `{}` is never reached: `{name}` matches everything before it", rule.name);
                faults.push(fault(PolicyPlace::Rule(n), PredicateError::new(message)));
            }
            match compile_rule(n, rule, classes) {
                Ok((predicate, class)) => {
                    if predicate.constant() == Some(true) {
                        catch_all = catch_all.or(Some(&rule.name));
                    }
                    compiled.push((predicate, class));
                }
                Err(more) => faults.extend(more),
            }
        }
        if catch_all.is_none() && faults.is_empty() {
            let error = PredicateError::new("no rule matches what the others leave")
                .hint(Some("end with a rule without `when`"));
            faults.push(fault(PolicyPlace::Policy, error));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { classes: classes.to_vec(), ranks: ranks(classes), rules: compiled })
    }

    /// The classes; a class index counts in them.
    pub fn classes(&self) -> &[RetentionClass] {
        &self.classes
    }

    /// Names of the columns that its rules read.
    pub fn columns(&self) -> Vec<String> {
        let mut names: Vec<String> = self.rules.iter().flat_map(|(when, _)| when.columns()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The rules in order: each predicate with the class index that it gives.
    pub fn rules(&self) -> &[(Predicate, u8)] {
        &self.rules
    }

    /// Index of a class by name.
    pub fn class(&self, name: &str) -> Option<u8> {
        self.classes.iter().position(|c| c.name == name).map(|n| n as u8)
    }

    /// Class index of every row: that of the first rule that matches. `rows` has the columns of
    /// [`super::rule_schema`].
    ///
    /// Should a rule fail on these rows after all, those that no earlier rule decided are kept as
    /// long as any class keeps them: never too short.
    pub fn classify(&self, rows: &RecordBatch) -> Vec<u8> {
        let longest = self.longest();
        let class = |rule: u16| self.rules.get(usize::from(rule)).map_or(longest, |(_, class)| *class);
        self.deciding(rows).into_iter().map(class).collect()
    }

    /// Index of the rule that decides about each row: the first that matches; [`UNDECIDED`] where a rule
    /// failed before one did. `rows` has the columns of [`super::rule_schema`].
    pub fn deciding(&self, rows: &RecordBatch) -> Vec<u16> {
        let mut deciding = vec![UNDECIDED; rows.num_rows()];
        let mut left = rows.num_rows();
        for (n, (predicate, _)) in self.rules.iter().enumerate() {
            if left == 0 {
                break;
            }
            match predicate.evaluate(rows) {
                Ok(mask) => left -= decide(&mut deciding, &mask, n as u16),
                Err(error) => {
                    tracing::warn!(%error, predicate = predicate.sql(), "a retention rule failed; its rows are kept longest");
                    break;
                }
            }
        }
        deciding
    }

    /// Class index of every event: the strictest of its rows'. `row_event` gives each row's event.
    pub fn by_event(&self, rows: &[u8], row_event: &[u32], events: usize) -> Vec<u8> {
        debug_assert_eq!(rows.len(), row_event.len());
        let mut classes: Vec<Option<u8>> = vec![None; events];
        for (class, event) in rows.iter().zip(row_event) {
            let of_event = &mut classes[*event as usize];
            *of_event = Some(of_event.map_or(*class, |held| self.stricter(held, *class)));
        }
        let longest = self.longest();
        classes.into_iter().map(|class| class.unwrap_or(longest)).collect()
    }

    /// The class of the two that keeps longer.
    pub fn stricter(&self, a: u8, b: u8) -> u8 {
        if self.ranks[usize::from(b)] > self.ranks[usize::from(a)] { b } else { a }
    }

    fn longest(&self) -> u8 {
        (0..self.classes.len() as u8).reduce(|a, b| self.stricter(a, b)).unwrap_or(0)
    }
}

/// Not a rule: there are fewer.
pub const UNDECIDED: u16 = u16::MAX;

/// Gives `rule` to the undecided rows of the mask and says how many there were.
fn decide(deciding: &mut [u16], mask: &BooleanArray, rule: u16) -> usize {
    let mut decided = 0;
    for row in mask.values().set_indices() {
        if deciding[row] == UNDECIDED {
            deciding[row] = rule;
            decided += 1;
        }
    }
    decided
}

fn compile_rule(
    n: usize,
    rule: &RetentionRule,
    classes: &[RetentionClass],
) -> Result<(Predicate, u8), Vec<PolicyFault>> {
    let mut faults = Vec::new();
    let class = classes.iter().position(|c| c.name == rule.class);
    if class.is_none() {
        let hint = nearest(&rule.class, classes.iter().map(|c| c.name.as_str()))
            .map(|near| format!("did you mean `{near}`?"));
        let error = PredicateError::new(format!("unknown class `{}`", rule.class)).hint(hint);
        faults.push(fault(PolicyPlace::Rule(n), error));
    }
    let predicate = Predicate::compile(rule.when.as_deref().unwrap_or("true"), rule_schema());
    match (predicate, class) {
        (Err(error), _) => faults.push(fault(PolicyPlace::When(n), error)),
        (Ok(predicate), _) if predicate.constant() == Some(false) => {
            let message = format!("rule `{}` is unreachable: its predicate is never true", rule.name);
            faults.push(fault(PolicyPlace::When(n), PredicateError::new(message).at(Some(0))));
        }
        (Ok(predicate), Some(class)) if faults.is_empty() => return Ok((predicate, class as u8)),
        _ => {}
    }
    Err(faults)
}

fn class_faults(classes: &[RetentionClass]) -> Vec<PolicyFault> {
    let mut faults = Vec::new();
    if classes.is_empty() || classes.len() > CLASSES_MAX {
        let message = format!("a policy has 1 to {CLASSES_MAX} classes, not {}", classes.len());
        faults.push(fault(PolicyPlace::Policy, PredicateError::new(message)));
    }
    for (n, class) in classes.iter().enumerate() {
        let name = &class.name;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        let wrong = if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            Some(format!("class name `{name}` is not 1 to 64 of a-z, 0-9, `_` and `-`"))
        } else if classes[..n].iter().any(|c| c.name == *name) {
            Some(format!("class `{name}` is defined twice"))
        } else if class.expire.is_zero() || class.hot > class.expire {
            Some(format!("class `{name}` stays hot longer than it is kept at all"))
        } else {
            None
        };
        faults.extend(wrong.map(|message| fault(PolicyPlace::Class(n), PredicateError::new(message))));
    }
    faults
}

fn ranks(classes: &[RetentionClass]) -> Vec<u8> {
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by_key(|n| (classes[*n].expire, classes[*n].hot));
    let mut ranks = vec![0; classes.len()];
    for (rank, class) in order.into_iter().enumerate() {
        ranks[class] = rank as u8;
    }
    ranks
}

fn fault(place: PolicyPlace, error: PredicateError) -> PolicyFault {
    PolicyFault { place, error }
}
