//! Makes a document valid: fills what has a natural default, moves away what cannot be valid.

use serde_json::{Map, Value, json};

use crate::schema::{Attribute, Attributes, Class, Requirement, schema};

/// Repairs a class's document; objects that cannot be valid go to `rest`, under their path.
/// Says which required attribute is missing in the end.
pub(super) fn class(
    class: &'static Class,
    document: &mut Map<String, Value>,
    rest: &mut Map<String, Value>,
) -> Result<(), &'static str> {
    let profiles: Vec<String> = document
        .get("metadata")
        .and_then(|m| m.get("profiles"))
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    members(&class.attributes, document, "", rest);
    let wanted = |a: &Attribute| a.profile.is_none_or(|p| profiles.iter().any(|name| name == p));
    required(&class.attributes, document, wanted)?;
    constraints(&class.at_least_one, &class.just_one, document)
}

fn members(
    attributes: &'static Attributes,
    document: &mut Map<String, Value>,
    path: &str,
    rest: &mut Map<String, Value>,
) {
    let names: Vec<String> = document.keys().cloned().collect();
    for name in names {
        let Some(object) = attributes.get(&name).and_then(|a| schema().object_of(a)) else { continue };
        if object.is_free_form() {
            continue;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let whole = |value: &mut Value, rest: &mut Map<String, Value>| {
            let Value::Object(inner) = value else { return false };
            members(&object.attributes, inner, &path, rest);
            required(&object.attributes, inner, |a| a.profile.is_none()).is_ok()
                && constraints(&object.at_least_one, &object.just_one, inner).is_ok()
                && !inner.is_empty()
        };
        let keep = match document.get_mut(&name) {
            Some(Value::Array(items)) => {
                let mut refused = Vec::new();
                items.retain_mut(|item| {
                    let good = whole(item, rest);
                    if !good && !item.is_null() {
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
        let unknown = attribute.enumeration.as_ref().and_then(|e| e.get_by_value(0));
        let Some(caption) = unknown else { return Err(attribute.name) };
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
