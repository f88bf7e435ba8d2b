//! Fits a document into a version of the OCSF schema: what that version lacks goes to `unmapped`.
//!
//! Outputs that only know an older version get documents of it, and events that come as OCSF are
//! held against our own version the same way. Nothing is dropped: an attribute that the version does
//! not have, or not of that type, moves to `unmapped` under its path; an enumeration's value that it
//! does not know becomes Other with the caption kept; a class that it does not have becomes the base
//! event. What was moved is said, so that somebody can count it.

use serde_json::{Map, Value, json};

use crate::render::repair;
use crate::schema::{Attribute, Attributes, Base, Class, Schema, Type};
use crate::value::Val;

/// The value of an enumeration for what it does not know.
const OTHER: i64 = 99;

/// Fits `document` into `schema`; gives the paths of what it lacks, such as
/// `authentication.actor.app_name`, in the order in which they were met.
pub fn conform(schema: &'static Schema, document: &mut Value) -> Vec<String> {
    let Value::Object(members) = document else { return Vec::new() };
    let uid = members.get("class_uid").and_then(Value::as_u64).and_then(|uid| u32::try_from(uid).ok());
    let known = uid.and_then(|uid| schema.class_by_uid(uid)).filter(|class| !class.deprecated);
    let Some(base) = schema.class_by_uid(0) else { return Vec::new() };
    let mut fit = Fit { schema, lost: Vec::new(), rest: Map::new() };
    let unmapped = members.shift_remove("unmapped");
    if known.is_none() {
        fit.without_class(members);
    }
    let mut class = known.unwrap_or(base);
    fit.class(class, members);
    let Fit { mut lost, mut rest, .. } = fit;
    derive(schema, class, members);
    if let Err(missing) = repair::class(schema, class, members, &mut rest) {
        // The older class asks for more than there is: it is a base event, and says so.
        lost.push(format!("{} (it requires {missing})", class.name));
        let mut fit = Fit { schema, lost, rest };
        fit.without_class(members);
        class = base;
        fit.class(class, members);
        Fit { lost, rest, .. } = fit;
        derive(schema, class, members);
        repair::class(schema, class, members, &mut rest).ok();
    }
    // A missing activity was made Unknown.
    derive(schema, class, members);
    match unmapped {
        Some(Value::Object(known)) => rest = known.into_iter().chain(rest).collect(),
        Some(other) => _ = rest.insert("value".into(), other),
        None => {}
    }
    if !rest.is_empty() {
        members.insert("unmapped".into(), Value::Object(rest));
    }
    lost
}

/// Sets what follows from the class and the version.
fn derive(schema: &Schema, class: &Class, members: &mut Map<String, Value>) {
    let activity = members.get("activity_id").and_then(Value::as_i64).unwrap_or(0);
    for (name, value) in [
        ("category_name", json!(class.category_name)),
        ("category_uid", json!(class.category_uid)),
        ("class_name", json!(class.caption)),
        ("class_uid", json!(class.uid)),
        ("type_uid", json!(class.type_uid(activity))),
    ] {
        members.insert(name.into(), value);
    }
    let activities = class.get("activity_id").and_then(|id| id.enumeration.as_ref());
    if let Some(caption) = activities.and_then(|known| known.get_by_value(activity))
        && let Some(name) = members.get_mut("type_name")
    {
        *name = json!(format!("{}: {caption}", class.caption));
    }
    if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
        metadata.insert("version".into(), json!(schema.version()));
    }
}

struct Fit {
    schema: &'static Schema,
    lost: Vec<String>,
    /// What goes to `unmapped`.
    rest: Map<String, Value>,
}

impl Fit {
    /// Makes a base event of one whose class the version does not have.
    fn without_class(&mut self, members: &mut Map<String, Value>) {
        let name = members.get("class_name").and_then(Value::as_str).unwrap_or("class").to_owned();
        let activity = members.get("activity_name").and_then(Value::as_str).unwrap_or("Unknown").to_owned();
        if let Some(uid) = members.get("class_uid") {
            self.lost.push(format!("class {uid} ({name})"));
            self.rest.insert("class_uid".into(), uid.clone());
        }
        members.insert("activity_id".into(), json!(OTHER));
        members.insert("activity_name".into(), json!(format!("{name}: {activity}")));
        members.shift_remove("type_name");
    }

    fn class(&mut self, class: &'static Class, members: &mut Map<String, Value>) {
        // Derived members are set at the end.
        for name in ["category_name", "category_uid", "class_name", "class_uid", "type_uid"] {
            members.shift_remove(name);
        }
        self.profiles(class, members);
        self.members(&class.attributes, members, class.name, "");
    }

    /// Leaves out the profiles that the class does not have, and what they bring.
    fn profiles(&mut self, class: &'static Class, members: &mut Map<String, Value>) {
        let metadata = members.get_mut("metadata").and_then(Value::as_object_mut);
        let mut listed = Vec::new();
        if let Some(metadata) = metadata
            && let Some(Value::Array(names)) = metadata.get_mut("profiles")
        {
            names.retain(|name| {
                let known = class.profiles.iter().any(|known| name == known);
                if !known && let Some(name) = name.as_str() {
                    self.lost.push(format!("profile {name}"));
                }
                known
            });
            listed.clone_from(names);
            if names.is_empty() {
                metadata.shift_remove("profiles");
            }
        }
        let bare = |attribute: &&Attribute| {
            attribute.profile.is_some_and(|profile| !listed.iter().any(|name| name == profile))
        };
        for attribute in class.attributes.iter().filter(bare) {
            if let Some(value) = members.shift_remove(attribute.name) {
                self.lost.push(format!("{}.{}", class.name, attribute.name));
                self.keep(attribute.name, value);
            }
        }
    }

    /// Fits the members of a record; `owner` and `path` name it.
    fn members(
        &mut self,
        attributes: &'static Attributes,
        members: &mut Map<String, Value>,
        owner: &str,
        path: &str,
    ) {
        let names: Vec<String> = members.keys().cloned().collect();
        for name in names {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let fits = match (attributes.get(&name), members.get_mut(&name)) {
                (Some(attribute), Some(value)) => self.value(attribute, value, owner, &below),
                _ => false,
            };
            if !fits && let Some(value) = members.shift_remove(&name) {
                self.lost.push(format!("{owner}.{below}"));
                self.keep(&below, value);
                continue;
            }
            if let Some(attribute) = attributes.get(&name) {
                self.caption(attribute, members, owner, &below);
            }
        }
    }

    /// Fits a value; false if it cannot be there.
    fn value(&mut self, attribute: &'static Attribute, value: &mut Value, owner: &str, path: &str) -> bool {
        let mut fits = |item: &mut Value| self.item(attribute, item, owner, path);
        match (attribute.is_array, value) {
            (true, Value::Array(items)) => items.iter_mut().all(&mut fits),
            (true, _) | (false, Value::Array(_)) if attribute.ty != Type::Json => false,
            (_, single) => fits(single),
        }
    }

    fn item(&mut self, attribute: &'static Attribute, item: &mut Value, owner: &str, path: &str) -> bool {
        let object = self.schema.object_of(attribute);
        match attribute.ty.base() {
            Base::Json => !item.is_null(),
            Base::Boolean => item.is_boolean(),
            Base::Float => item.is_number(),
            Base::Integer => item.as_i64().is_some_and(|n| {
                let plausible = attribute.ty != Type::Timestamp || n > 0;
                plausible && Val::Int(n).convert(attribute).is_ok()
            }),
            Base::String => {
                item.as_str().is_some_and(|text| Val::Text(text.into()).convert(attribute).is_ok())
            }
            Base::Object => match (object, item) {
                (Some(object), Value::Object(inner)) => {
                    if !object.is_free_form() {
                        self.members(&object.attributes, inner, owner, path);
                    }
                    true
                }
                _ => false,
            },
        }
    }

    /// Makes a number that the enumeration does not know Other, or nothing; a caption beside a known
    /// one is the version's own.
    fn caption(&mut self, id: &Attribute, members: &mut Map<String, Value>, owner: &str, path: &str) {
        let Some(known) = id.enumeration.as_ref().filter(|known| !known.values.is_empty()) else { return };
        let Some(value) = members.get(id.name) else { return };
        let numbers: Vec<i64> = match value {
            Value::Array(items) => items.iter().filter_map(Value::as_i64).collect(),
            single => single.as_i64().into_iter().collect(),
        };
        if let Some(unknown) = numbers.iter().find(|n| known.get_by_value(**n).is_none()) {
            self.lost.push(format!("{owner}.{path}={unknown}"));
            let old = value.clone();
            let other = [OTHER, 0].into_iter().find(|n| known.get_by_value(*n).is_some());
            match other.filter(|_| !id.is_array) {
                Some(other) => {
                    members.insert(id.name.into(), json!(other));
                    if let Some(sibling) = id.sibling {
                        let caption = known.get_by_value(other).unwrap_or_default();
                        let words = members.entry(sibling).or_insert_with(|| json!(caption));
                        if other == 0 {
                            *words = json!(caption);
                        }
                    }
                }
                None => _ = members.shift_remove(id.name),
            }
            return self.keep(path, old);
        }
        if let (Some(sibling), [number]) = (id.sibling, &numbers[..])
            && *number != OTHER
            && !id.is_array
            && let Some(caption) = known.get_by_value(*number).filter(|caption| !caption.is_empty())
            && let Some(words) = members.get_mut(sibling)
        {
            *words = json!(caption);
        }
    }

    /// Keeps a value for `unmapped`; those of several elements of a list become a list.
    fn keep(&mut self, path: &str, value: Value) {
        match self.rest.get_mut(path) {
            None => _ = self.rest.insert(path.to_owned(), value),
            Some(Value::Array(values)) => values.push(value),
            Some(single) => *single = json!([single.take(), value]),
        }
    }
}

#[cfg(test)]
mod tests;
