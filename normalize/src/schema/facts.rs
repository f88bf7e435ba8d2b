//! Reads the facts file (written by `cargo xtask ocsf`) into a [`Schema`].
//!
//! The file gives each attribute name its distinct definitions; classes and objects name the one
//! they use (`status_id` is the first, `status_id.2` the third). Definitions are shared in memory
//! the same way, and every string borrows from the embedded text.

use std::{collections::BTreeMap, sync::Arc};

use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::{Attribute, Attributes, Class, Enumeration, Object, Requirement, Schema, Type};

/// The facts of the schema version that this build follows.
pub(super) const EMBEDDED: &str = include_str!("../../schema/ocsf-1.8.0.json");
/// The facts of older versions, for outputs that only know those.
pub(super) const EMBEDDED_1_1: &str = include_str!("../../schema/ocsf-1.1.0.json");
/// See [`EMBEDDED_1_1`].
pub(super) const EMBEDDED_1_3: &str = include_str!("../../schema/ocsf-1.3.0.json");

/// Why a facts file does not load.
#[derive(Debug, thiserror::Error)]
pub(super) enum FactsError {
    #[error("malformed facts: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("unknown attribute `{0}`")]
    Dangling(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchema {
    version: &'static str,
    #[serde(rename = "source")]
    _source: &'static str,
    #[serde(borrow)]
    attributes: BTreeMap<&'static str, Vec<RawAttribute>>,
    classes: Vec<RawClass>,
    objects: Vec<RawObject>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAttribute {
    #[serde(rename = "type")]
    ty: Type,
    object: Option<&'static str>,
    profile: Option<&'static str>,
    sibling: Option<&'static str>,
    #[serde(default)]
    array: bool,
    #[serde(default)]
    requirement: Requirement,
    #[serde(default)]
    deprecated: bool,
    observable: Option<u32>,
    #[serde(default, rename = "enum", borrow)]
    values: Box<[(i64, &'static str)]>,
    #[serde(default, borrow)]
    names: Box<[(&'static str, &'static str)]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    name: &'static str,
    caption: &'static str,
    uid: u32,
    category_uid: u32,
    category_name: &'static str,
    #[serde(borrow)]
    profiles: Vec<&'static str>,
    #[serde(default)]
    deprecated: bool,
    #[serde(default, borrow)]
    at_least_one: Vec<&'static str>,
    #[serde(default, borrow)]
    just_one: Vec<&'static str>,
    #[serde(borrow)]
    attributes: Vec<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawObject {
    name: &'static str,
    observable: Option<u32>,
    #[serde(default, borrow)]
    at_least_one: Vec<&'static str>,
    #[serde(default, borrow)]
    just_one: Vec<&'static str>,
    #[serde(borrow)]
    attributes: Vec<&'static str>,
}

/// Definitions by the reference that classes and objects use.
struct Dictionary(FxHashMap<&'static str, Vec<Definition>>);

/// A definition, and the `datetime` companion of a timestamp.
struct Definition {
    attribute: Arc<Attribute>,
    datetime: Option<Arc<Attribute>>,
}

impl Dictionary {
    fn new(raw: BTreeMap<&'static str, Vec<RawAttribute>>) -> Self {
        let definitions = |(name, raws): (_, Vec<RawAttribute>)| {
            (name, raws.into_iter().map(|raw| define(name, raw)).collect())
        };
        Self(raw.into_iter().map(definitions).collect())
    }

    fn attributes(&self, references: &[&'static str]) -> Result<Attributes, FactsError> {
        let mut found = Vec::with_capacity(references.len());
        for reference in references {
            let (name, index) = reference.split_once('.').unwrap_or((reference, "0"));
            let definition = index
                .parse::<usize>()
                .ok()
                .and_then(|index| self.0.get(name)?.get(index))
                .ok_or_else(|| FactsError::Dangling((*reference).to_owned()))?;
            found.push(Arc::clone(&definition.attribute));
            found.extend(definition.datetime.clone());
        }
        Ok(Attributes::new(found))
    }
}

fn define(name: &'static str, raw: RawAttribute) -> Definition {
    let datetime = (raw.ty == Type::Timestamp).then(|| {
        Arc::new(Attribute {
            // One leak per timestamp definition of the schema, which lives as long as the process.
            name: format!("{name}_dt").leak(),
            ty: Type::Datetime,
            is_array: raw.array,
            requirement: Requirement::Optional,
            profile: Some("datetime"),
            sibling: None,
            enumeration: None,
            observable: None,
            object: None,
            deprecated: raw.deprecated,
        })
    });
    let known = !(raw.values.is_empty() && raw.names.is_empty());
    let attribute = Arc::new(Attribute {
        name,
        ty: raw.ty,
        is_array: raw.array,
        requirement: raw.requirement,
        profile: raw.profile,
        sibling: raw.sibling,
        enumeration: known.then_some(Enumeration { values: raw.values, names: raw.names }),
        observable: raw.observable,
        object: raw.object,
        deprecated: raw.deprecated,
    });
    Definition { attribute, datetime }
}

/// Reads a facts file.
pub(super) fn load(text: &'static str) -> Result<Schema, FactsError> {
    let raw: RawSchema = serde_json::from_str(text)?;
    let dictionary = Dictionary::new(raw.attributes);
    let mut classes = raw
        .classes
        .into_iter()
        .map(|class| {
            Ok(Class {
                name: class.name,
                caption: class.caption,
                uid: class.uid,
                category_uid: class.category_uid,
                category_name: class.category_name,
                attributes: dictionary.attributes(&class.attributes)?,
                at_least_one: class.at_least_one,
                just_one: class.just_one,
                profiles: class.profiles,
                deprecated: class.deprecated,
            })
        })
        .collect::<Result<Vec<_>, FactsError>>()?;
    classes.sort_unstable_by_key(|class| class.uid);
    let objects = raw
        .objects
        .into_iter()
        .map(|object| {
            let attributes = dictionary.attributes(&object.attributes)?;
            let RawObject { name, observable, at_least_one, just_one, .. } = object;
            Ok((name, Object { name, attributes, at_least_one, just_one, observable }))
        })
        .collect::<Result<_, FactsError>>()?;
    let class_names = classes.iter().enumerate().map(|(index, class)| (class.name, index)).collect();
    Ok(Schema { version: raw.version, classes, class_names, objects })
}
