//! Retention: what is kept where, for how long.
//!
//! Rules are SQL predicates over the linchpin columns; the first that matches gives an event its class. SQL
//! is checked by who knows the columns: here a predicate is a text with its place in the file.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::checks::Checks;
use crate::entries::Entries;
use crate::located::Located;
use crate::values::{DurationText, Name};

/// Classes, and the rules that give an event its class.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Classes by name.
    pub classes: Located<Entries<Name, RetentionClass>>,
    /// The first rule that matches gives the class; the last one has no `when`.
    pub rules: Located<Vec<Rule>>,
    /// Regulations that the classes must keep to; `linchpin check` says where they do not.
    #[serde(default)]
    pub regulations: Vec<Located<Regulation>>,
}

/// A regulation, and the classes that it binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regulation {
    /// Which one.
    pub preset: Preset,
    /// The classes that hold what it is about; all of them when left out.
    pub classes: Option<Vec<Located<Name>>>,
}

/// Regulations with documented demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// PCI DSS 4.0, requirement 10.
    #[serde(rename = "pci_dss_4")]
    PciDss4,
    /// HIPAA, 45 CFR 164.316.
    Hipaa,
    /// Sarbanes-Oxley, section 802 and 17 CFR 210.2-06.
    Sox,
    /// NIS2, directive (EU) 2022/2555.
    Nis2,
    /// OMB memorandum M-21-31, event logging.
    #[serde(rename = "m_21_31")]
    M2131,
}

/// A regulation with its classes, as it is written when it does not bind all of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Bound {
    /// Which one.
    preset: Preset,
    /// The classes that hold what it is about; all of them when left out.
    classes: Option<Vec<Located<Name>>>,
}

impl<'de> Deserialize<'de> for Regulation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RegulationVisitor)
    }
}

struct RegulationVisitor;

impl<'de> Visitor<'de> for RegulationVisitor {
    type Value = Regulation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`NAME` or `{ preset: NAME, classes: [CLASS] }`")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Regulation, E> {
        let preset = Preset::deserialize(name.into_deserializer())?;
        Ok(Regulation { preset, classes: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Regulation, A::Error> {
        let Bound { preset, classes } = Bound::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Regulation { preset, classes })
    }
}

impl JsonSchema for Regulation {
    fn schema_name() -> Cow<'static, str> {
        "Regulation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "a regulation, with the classes that it binds when these are not all",
            "anyOf": [generator.subschema_for::<Preset>(), generator.subschema_for::<Bound>()],
        })
    }
}

/// How long events of a class are kept, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionClass {
    /// How long the linchpin columns stay in the hot table, from the event's day.
    pub hot: Located<DurationText>,
    /// Where the raw bytes lie.
    pub archive: ArchiveTiers,
    /// When the raw bytes are deleted, from their commit.
    pub expire: Located<DurationText>,
    /// Object lock until `expire`.
    pub lock: Option<Lock>,
}

/// The way of the raw bytes through the storage classes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveTiers {
    /// Storage class to move to.
    pub class: StorageClass,
    /// When to move there, from the commit; at once when left out.
    #[serde(default)]
    pub after: Located<DurationText>,
    /// Further moves: storage class and when, from the commit.
    #[serde(default, rename = "move")]
    pub moves: Entries<StorageClass, Located<DurationText>>,
}

/// Storage classes of the clouds, under the providers' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageClass {
    /// S3 and Google Cloud Storage.
    Standard,
    /// S3.
    IntelligentTiering,
    /// S3.
    StandardIa,
    /// S3.
    OnezoneIa,
    /// S3, instant reads.
    GlacierIr,
    /// S3 Flexible Retrieval: reads need a restore.
    Glacier,
    /// S3: reads need a restore.
    DeepArchive,
    /// Azure.
    Hot,
    /// Azure.
    Cool,
    /// Azure.
    Cold,
    /// Google Cloud Storage.
    Nearline,
    /// Google Cloud Storage.
    Coldline,
    /// Azure (reads need a restore) and Google Cloud Storage (instant reads).
    Archive,
}

/// Object lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// Privileged users can lift it.
    Governance,
    /// Nobody can lift it.
    Compliance,
}

/// Gives a class to the events that match.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Says what the rule is about, unique.
    pub name: Located<String>,
    /// SQL predicate over the linchpin columns; everything when left out.
    pub when: Option<Located<String>>,
    /// The class.
    pub class: Located<Name>,
    /// Outputs that get these events; all of them when left out.
    pub outputs: Option<Vec<Located<Name>>>,
}

impl Retention {
    /// Where a class stands in `classes`.
    pub fn class_index(&self, name: &str) -> Option<usize> {
        self.classes.value.names().position(|class| class == name)
    }

    /// The strictest of some classes (given and returned as their index in `classes`): that which expires
    /// last, and of two that expire together the one written first. `None` if there is none.
    pub fn strictest(&self, classes: impl IntoIterator<Item = usize>) -> Option<usize> {
        let key = |index: &usize| {
            let expire = self.classes.value.iter().nth(*index).map(|(_, class)| class.expire.value);
            (expire, std::cmp::Reverse(*index))
        };
        classes.into_iter().max_by_key(key)
    }

    pub(crate) fn check(&self, outputs: &[&str], checks: &mut Checks<'_>) {
        let classes: Vec<&str> = self.classes.value.names().collect();
        if self.classes.value.is_empty() {
            checks.refuse(self.classes.span, "", "there is no retention class".to_owned(), None);
        }
        for (name, class) in &self.classes.value {
            class.check(name.value.as_str(), checks);
        }
        checks.unique("rule", self.rules.value.iter().map(|rule| (rule.name.value.as_str(), rule.name.span)));
        for rule in &self.rules.value {
            checks.predicate(rule.when.as_ref());
            checks.known("retention class", &rule.class, &classes);
            for output in rule.outputs.iter().flatten() {
                checks.known("output", output, outputs);
            }
        }
        for class in self.regulations.iter().flat_map(|r| r.value.classes.iter().flatten()) {
            checks.known("retention class", class, &classes);
        }
        self.check_order(checks);
    }

    /// Every event matches a rule, and every rule can match.
    fn check_order(&self, checks: &mut Checks<'_>) {
        let rules = &self.rules.value;
        let Some(default) = rules.iter().position(|rule| rule.when.is_none()) else {
            let (span, text) = rules.last().map_or((self.rules.span, ""), |r| (r.name.span, &r.name.value));
            let class = self.classes.value.names().last().unwrap_or("CLASS");
            let hint =
                format!("end with a rule without `when`: `- {{ name: everything else, class: {class} }}`");
            checks.refuse(span, text, "events that match no rule have no class".to_owned(), Some(hint));
            return;
        };
        for rule in &rules[default + 1..] {
            let (name, first) = (&rule.name.value, &rules[default].name.value);
            let hint = "move the rule without `when` to the end".to_owned();
            let message =
                format!("the rule `{name}` is never reached: `{first}` before it matches everything");
            checks.refuse(rule.name.span, name, message, Some(hint));
        }
    }
}

impl RetentionClass {
    /// Times ascend: hot <= expire, after < move < move < expire.
    fn check(&self, name: &str, checks: &mut Checks<'_>) {
        let expire = self.expire.value;
        if self.hot.value > expire {
            let text = self.hot.value.to_string();
            let message = format!("class `{name}` stays hot for `{text}` but expires after `{expire}`");
            let hint = "events are searched through their archived bytes: let `expire` be at least `hot`";
            checks.refuse(self.hot.span, &text, message, Some(hint.to_owned()));
        }
        let mut before = ("after", &self.archive.after);
        for (_, delay) in &self.archive.moves {
            if delay.value <= before.1.value {
                let text = delay.value.to_string();
                let message = format!("a move of class `{name}` after `{text}` comes too early");
                let hint = format!(
                    "delays count from the commit and ascend; the one before is `{}`",
                    before.1.value
                );
                checks.refuse(delay.span, &text, message, Some(hint));
            }
            before = ("move", delay);
        }
        if before.1.value >= expire {
            let text = before.1.value.to_string();
            let message = format!("class `{name}` expires after `{expire}` but moves after `{text}`");
            let hint = format!("shorten `{}` or lengthen `expire`", before.0);
            let span = if before.1.span.line == 0 { self.expire.span } else { before.1.span };
            checks.refuse(span, &text, message, Some(hint));
        }
    }
}
