//! Makes a document valid: fills what has a natural default, moves away what cannot be valid.

use serde_json::{Map, Value, json};

use crate::schema::{Attribute, Attributes, Class, Requirement, Schema};

/// Repairs a class's document; objects that cannot be valid go to `rest`, under their path.
/// Says which required attribute is missing in the end.
pub(crate) fn class(
    schema: &'static Schema,
    class: &'static Class,
    document: &mut Map<String, Value>,
    rest: &mut Map<String, Value>,
) -> Result<(), &'static str> {
    members(schema, &class.attributes, document, "", rest);
    required(&class.attributes, document, |a| a.profile.is_none())?;
    profiles(class, document, rest)?;
    constraints(&class.at_least_one, &class.just_one, document)
}

/// Leaves out the profiles whose required attributes are missing: a login is one, in a cloud or not.
fn profiles(
    class: &'static Class,
    document: &mut Map<String, Value>,
    rest: &mut Map<String, Value>,
) -> Result<(), &'static str> {
    let listed = document.get("metadata").and_then(|metadata| metadata.get("profiles"));
    let Some(Value::Array(names)) = listed else { return Ok(()) };
    let mut names = names.clone();
    for name in &names {
        if of(class, name).any(|a| lacks(a, document)) {
            for attribute in of(class, name) {
                if let Some(value) = document.remove(attribute.name) {
                    rest.insert(attribute.name.into(), value);
                }
            }
        }
    }
    names.retain(|name| !of(class, name).any(|a| lacks(a, document)));
    for name in &names {
        required(&class.attributes, document, |a| a.profile.is_some_and(|p| name == p))?;
    }
    let Some(Value::Object(metadata)) = document.get_mut("metadata") else { return Ok(()) };
    if names.is_empty() {
        metadata.shift_remove("profiles");
    } else {
        metadata.insert("profiles".into(), Value::Array(names));
    }
    Ok(())
}

/// The attributes that a profile brings to a class.
fn of<'n>(class: &'static Class, profile: &'n Value) -> impl Iterator<Item = &'static Attribute> + 'n {
    class.attributes.iter().filter(move |a| a.profile.is_some_and(|p| profile == p))
}

/// Whether a required attribute is missing that has no natural default.
fn lacks(attribute: &Attribute, document: &Map<String, Value>) -> bool {
    attribute.requirement == Requirement::Required
        && !document.contains_key(attribute.name)
        && unknown(attribute).is_none()
}

/// The caption of the value that stands for none.
fn unknown(attribute: &Attribute) -> Option<&'static str> {
    attribute.enumeration.as_ref().and_then(|e| e.get_by_value(0))
}

fn members(
    schema: &'static Schema,
    attributes: &'static Attributes,
    document: &mut Map<String, Value>,
    path: &str,
    rest: &mut Map<String, Value>,
) {
    let names: Vec<String> = document.keys().cloned().collect();
    for name in names {
        let Some(object) = attributes.get(&name).and_then(|a| schema.object_of(a)) else { continue };
        if object.is_free_form() {
            continue;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let whole = |value: &mut Value, rest: &mut Map<String, Value>| {
            let Value::Object(inner) = value else { return false };
            members(schema, &object.attributes, inner, &path, rest);
            required(&object.attributes, inner, |a| a.profile.is_none()).is_ok()
                && constraints(&object.at_least_one, &object.just_one, inner).is_ok()
                && !inner.is_empty()
        };
        let keep = match document.get_mut(&name) {
            Some(Value::Array(items)) => {
                let mut refused = Vec::new();
                items.retain_mut(|item| {
                    let good = whole(item, rest);
                    let empty = item.is_null() || item.as_object().is_some_and(Map::is_empty);
                    if !good && !empty {
                        refused.push(item.take());
                    }
                    good
                });
                if !refused.is_empty() {
                    rest.insert(path.clone(), Value::Array(refused));
                }
                !items.is_empty()
            }
            Some(value) => whole(value, rest),
            None => true,
        };
        if !keep && let Some(refused) = document.remove(&name) {
            let empty = refused.as_object().is_some_and(Map::is_empty)
                || refused.as_array().is_some_and(Vec::is_empty);
            if !empty {
                rest.insert(path, refused);
            }
        }
    }
}

/// Fills missing required enumerations with Unknown; says which attribute is missing otherwise.
fn required(
    attributes: &'static Attributes,
    document: &mut Map<String, Value>,
    wanted: impl Fn(&Attribute) -> bool,
) -> Result<(), &'static str> {
    for attribute in attributes.iter().filter(|a| a.requirement == Requirement::Required && wanted(a)) {
        if document.contains_key(attribute.name) {
            continue;
        }
        let Some(caption) = unknown(attribute) else { return Err(attribute.name) };
        document.insert(attribute.name.into(), json!(0));
        if let Some(sibling) = attribute.sibling {
            document.insert(sibling.into(), json!(caption));
        }
    }
    Ok(())
}

fn constraints(
    at_least_one: &[&'static str],
    just_one: &[&'static str],
    document: &Map<String, Value>,
) -> Result<(), &'static str> {
    let count = |names: &[&str]| names.iter().filter(|n| document.contains_key(**n)).count();
    match (at_least_one.first(), just_one.first()) {
        (Some(name), _) if count(at_least_one) == 0 => Err(name),
        (_, Some(name)) if count(just_one) != 1 => Err(name),
        _ => Ok(()),
    }
}
