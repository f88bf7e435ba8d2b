//! The OCSF schema as facts: which classes, objects, attributes and enum values there are.
//!
//! [`schema`] reads the embedded facts file once, on first use. Mappings are checked against it
//! when they load ([`resolve`]), and finished events are checked against it in tests and in
//! `linchpin sources --check` ([`validate`]). Abstract classes are left out; deprecated ones are
//! present and flagged. Every timestamp attribute `x` has a companion `x_dt` of the `datetime`
//! profile, as the OCSF server adds them.

mod facts;
mod path;
mod types;
mod validate;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;
use serde::Deserialize;

pub use path::{ResolveError, ResolveReason, resolve};
pub use types::{Base, Type};
pub use validate::{Violation, validate, validate_as};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| load(facts::EMBEDDED));
static SCHEMA_1_1: LazyLock<Schema> = LazyLock::new(|| load(facts::EMBEDDED_1_1));
static SCHEMA_1_3: LazyLock<Schema> = LazyLock::new(|| load(facts::EMBEDDED_1_3));

/// The versions that documents can be written in, the oldest first.
pub const VERSIONS: &[&str] = &["1.1", "1.3", "1.8"];

fn load(facts: &'static str) -> Schema {
    match facts::load(facts) {
        Ok(schema) => schema,
        Err(error) => unreachable!("the embedded schema facts do not load: {error}"),
    }
}

/// The schema of a version of [`VERSIONS`]; read on the first call.
pub fn version(name: &str) -> Option<&'static Schema> {
    match name {
        "1.1" => Some(&SCHEMA_1_1),
        "1.3" => Some(&SCHEMA_1_3),
        "1.8" => Some(&SCHEMA),
        _ => None,
    }
}

/// The schema that this build embeds; read on the first call.
pub fn schema() -> &'static Schema {
    &SCHEMA
}

/// All facts of one OCSF version.
#[derive(Debug)]
pub struct Schema {
    version: &'static str,
    /// In order of `uid`.
    classes: Vec<Class>,
    class_names: FxHashMap<&'static str, usize>,
    objects: FxHashMap<&'static str, Object>,
}

impl Schema {
    /// The OCSF version, for example `1.8.0`.
    pub fn version(&self) -> &str {
        self.version
    }

    /// The class of this name, for example `authentication`.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.class_names.get(name).map(|&index| &self.classes[index])
    }

    /// The class of this `class_uid`, for example 3002.
    pub fn class_by_uid(&self, uid: u32) -> Option<&Class> {
        self.classes.binary_search_by_key(&uid, |class| class.uid).ok().map(|index| &self.classes[index])
    }

    /// Every class, in order of its uid.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter()
    }

    /// The object of this name, for example `network_endpoint`.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.get(name)
    }

    /// The object that an attribute holds; `None` for scalars.
    pub fn object_of(&self, attribute: &Attribute) -> Option<&Object> {
        self.object(attribute.object?)
    }

    /// The caption of an `observable.type_id`, for example `IP Address` for 2; empty for the few ids
    /// that the schema allows but does not name. `None` for an id that it does not allow, though
    /// some attributes (`reg_key.path`) have one.
    pub fn observable_type(&self, id: u32) -> Option<&str> {
        let types = self.object("observable")?.get("type_id")?.enumeration.as_ref()?;
        types.get_by_value(i64::from(id))
    }
}

/// One event class that events may have.
#[derive(Debug)]
pub struct Class {
    /// For example `authentication`.
    pub name: &'static str,
    /// For example `Authentication`; the value of `class_name`.
    pub caption: &'static str,
    /// The value of `class_uid`.
    pub uid: u32,
    /// The value of `category_uid`.
    pub category_uid: u32,
    /// The value of `category_name`.
    pub category_name: &'static str,
    /// What the event's top level may hold.
    pub attributes: Attributes,
    /// Attributes (or dotted paths) of which at least one must be there; empty: no such rule.
    pub at_least_one: Vec<&'static str>,
    /// Attributes of which exactly one must be there; empty: no such rule.
    pub just_one: Vec<&'static str>,
    /// Profiles that an event of this class may list in `metadata.profiles`.
    pub profiles: Vec<&'static str>,
    /// The schema advises against the class; new mappings must not use it.
    pub deprecated: bool,
}

impl Class {
    /// The attribute of this name at the event's top level.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(name)
    }

    /// See [`Attributes::enum_target`].
    pub fn enum_target(&self, name: &str) -> Option<EnumTarget<'_>> {
        self.attributes.enum_target(name)
    }

    /// The `type_uid` of an activity of this class.
    pub fn type_uid(&self, activity_id: i64) -> i64 {
        i64::from(self.uid) * 100 + activity_id
    }
}

/// One object: the attributes of a nested record.
#[derive(Debug)]
pub struct Object {
    /// For example `user`.
    pub name: &'static str,
    /// What the record may hold. Empty for `object`, which is free-form.
    pub attributes: Attributes,
    /// Attributes of which at least one must be there; empty: no such rule.
    pub at_least_one: Vec<&'static str>,
    /// Attributes of which exactly one must be there; empty: no such rule.
    pub just_one: Vec<&'static str>,
    /// The observable type of the object as a whole.
    pub observable: Option<u32>,
}

impl Object {
    /// The attribute of this name.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(name)
    }

    /// A record whose keys the schema leaves open (`unmapped`, `additional_data`).
    pub fn is_free_form(&self) -> bool {
        self.attributes.len() == 0
    }
}

/// The attributes of one class or object, sorted by name.
#[derive(Debug)]
pub struct Attributes(Box<[Arc<Attribute>]>);

impl Attributes {
    fn new(mut attributes: Vec<Arc<Attribute>>) -> Self {
        attributes.sort_unstable_by_key(|attribute| attribute.name);
        Self(attributes.into_boxed_slice())
    }

    /// The attribute of this name.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        let index = self.0.binary_search_by_key(&name, |attribute| attribute.name).ok()?;
        Some(&self.0[index])
    }

    /// Every attribute, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter().map(|attribute| &**attribute)
    }

    /// Number of attributes.
    #[expect(clippy::len_without_is_empty, reason = "only free-form objects are empty, and they say so")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The id and caption attributes behind a short name: `status` is `status_id` and `status`,
    /// `activity` is `activity_id` and `activity_name`, `flags` is `flag_ids` and `flags`.
    ///
    /// The caption's own name (`activity_name`) finds the pair as well. `None` if the name is no
    /// such pair here.
    pub fn enum_target(&self, name: &str) -> Option<EnumTarget<'_>> {
        let is_id = |id: &&Attribute| {
            id.sibling.is_some_and(|caption| {
                let named =
                    caption.strip_suffix("_name") == Some(name) && id.name.strip_suffix("_id") == Some(name);
                caption == name || named
            })
        };
        let id = self.iter().filter(|id| id.enumeration.is_some()).find(is_id)?;
        Some(EnumTarget { id, caption: self.get(id.sibling?)? })
    }
}

/// An enum's pair of attributes.
#[derive(Debug, Clone, Copy)]
pub struct EnumTarget<'s> {
    /// Holds the number; has the enumeration.
    pub id: &'s Attribute,
    /// Holds the caption of that number, or the source's own word if the number is 99 (Other).
    pub caption: &'s Attribute,
}

/// One attribute as a certain class or object uses it.
#[derive(Debug)]
pub struct Attribute {
    /// For example `src_endpoint`.
    pub name: &'static str,
    /// The OCSF type of the value, or of the array's items.
    pub ty: Type,
    /// The value is an array.
    pub is_array: bool,
    /// Whether an event must have it.
    pub requirement: Requirement,
    /// The attribute applies only to events that list this profile.
    pub profile: Option<&'static str>,
    /// The attribute that holds the caption of this one's number.
    pub sibling: Option<&'static str>,
    /// The values that the schema knows.
    pub enumeration: Option<Enumeration>,
    /// The observable type of the value: the attribute's own, else its type's.
    pub observable: Option<u32>,
    /// The object's name, for [`Type::Object`].
    pub object: Option<&'static str>,
    /// The schema advises against the attribute.
    pub deprecated: bool,
}

/// Whether an attribute must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    /// Must be there.
    Required,
    /// Should be there.
    Recommended,
    /// May be there.
    #[default]
    Optional,
}

/// The known values of an attribute: numbers or, for a few string attributes, words.
/// One of the two lists is empty.
#[derive(Debug, Default)]
pub struct Enumeration {
    /// Numbers with their captions, in numeric order. A caption may be empty.
    pub values: Box<[(i64, &'static str)]>,
    /// Words with their captions, for string attributes such as `http_method`.
    pub names: Box<[(&'static str, &'static str)]>,
}

impl Enumeration {
    /// The number with this caption (exact spelling).
    pub fn get_by_caption(&self, caption: &str) -> Option<i64> {
        self.values.iter().find(|(_, known)| !known.is_empty() && *known == caption).map(|&(value, _)| value)
    }

    /// The caption of this number; may be empty.
    pub fn get_by_value(&self, value: i64) -> Option<&'static str> {
        let index = self.values.binary_search_by_key(&value, |&(known, _)| known).ok()?;
        Some(self.values[index].1)
    }

    /// The captions that a mapping may name.
    pub fn captions(&self) -> impl Iterator<Item = &'static str> {
        self.values.iter().map(|&(_, caption)| caption).filter(|caption| !caption.is_empty())
    }
}
