//! Retention classes and the rules that assign them.

use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use linchpin_config::nearest;

use super::{PolicyFault, PolicyPlace, Predicate, PredicateError, schema};

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

    /// Index of a class by name.
    pub fn class(&self, name: &str) -> Option<u8> {
        self.classes.iter().position(|c| c.name == name).map(|n| n as u8)
    }

    /// Class index of every row: that of the first rule that matches. `rows` has the columns of
    /// [`super::schema`].
    ///
    /// Should a rule fail on these rows after all, those that no earlier rule decided are kept as
    /// long as any class keeps them: never too short.
    pub fn classify(&self, rows: &RecordBatch) -> Vec<u8> {
        let mut classes = vec![UNDECIDED; rows.num_rows()];
        let mut left = rows.num_rows();
        for (predicate, class) in &self.rules {
            if left == 0 {
                break;
            }
            match predicate.evaluate(rows) {
                Ok(mask) => left -= decide(&mut classes, &mask, *class),
                Err(error) => {
                    tracing::warn!(%error, predicate = predicate.sql(), "a retention rule failed; its rows are kept longest");
                    break;
                }
            }
        }
        if left > 0 {
            let longest = self.longest();
            classes.iter_mut().filter(|c| **c == UNDECIDED).for_each(|c| *c = longest);
        }
        classes
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

/// Not a class index: there are at most [`CLASSES_MAX`].
const UNDECIDED: u8 = u8::MAX;

/// Gives `class` to the undecided rows of the mask and says how many there were.
fn decide(classes: &mut [u8], mask: &BooleanArray, class: u8) -> usize {
    let mut decided = 0;
    for row in mask.values().set_indices() {
        if classes[row] == UNDECIDED {
            classes[row] = class;
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
    let predicate = Predicate::compile(rule.when.as_deref().unwrap_or("true"), schema());
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
