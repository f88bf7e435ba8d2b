//! `native: true`: events that are OCSF already, from other products.
//!
//! Such a source has no rules of its own: every class of the schema is one of its classes, told by
//! `class_uid`, and the linchpin columns are filled from their own paths, as is what each class
//! requires. Documents are the events themselves, fitted into our version of the schema.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::columns::COLUMNS;
use crate::schema::{Attribute, Attributes, Class, Requirement, schema};

use super::check::has_attribute;

/// How deep objects are followed to what they require.
const DEPTH_MAX: usize = 4;

/// What older versions of a class did not ask for, with where their events have it.
pub(crate) const OLDER: &[(u32, [&str; 2], [&str; 3])] =
    // Authentication, before 1.0 of the schema: the service was that of the call.
    &[(3002, ["service", "name"], ["api", "service", "name"])];

/// The classes of such a source, as a mapping would write them.
pub(super) fn classes() -> String {
    let mut text = String::from("classes:\n");
    let mut classes: Vec<&Class> = schema().classes().filter(|class| !class.deprecated).collect();
    // The base event is the default and comes last.
    classes.sort_by_key(|class| class.uid == 0);
    for class in classes {
        let _ = writeln!(text, "  - class: {}", class.name);
        if class.uid != 0 {
            let _ = writeln!(text, "    when: {{ class_uid: [\"{}\"] }}", class.uid);
        }
        let _ = writeln!(text, "    profiles: [{}]\n    map:", class.profiles.join(", "));
        for (target, expression) in rules(class) {
            let older = OLDER.iter().find(|(uid, to, _)| *uid == class.uid && to.join(".") == target);
            let older = older.map_or_else(String::new, |(_, _, from)| format!(" ?? {}", from.join(".")));
            let _ = writeln!(text, "      {target}: {expression}{older}");
        }
    }
    text
}

fn rules(class: &'static Class) -> BTreeMap<String, String> {
    let mut rules = BTreeMap::new();
    for column in COLUMNS.iter().filter(|column| !column.path.is_empty()) {
        rule(class, column.path, &mut rules);
    }
    for attribute in class.attributes.iter().filter(|a| is_needed(a)) {
        needs(class, attribute, "", 0, &mut rules);
    }
    let groups = [&class.at_least_one, &class.just_one];
    for attribute in groups.into_iter().flatten().filter_map(|name| class.get(name)) {
        needs(class, attribute, "", 0, &mut rules);
    }
    rules
}

/// The rule that takes an attribute from its own path.
fn rule(class: &'static Class, path: &str, rules: &mut BTreeMap<String, String>) {
    // An enumeration is set under its short name, by the number; where the caption is the column, by
    // that.
    let (stem, last) = path.rsplit_once('.').map_or(("", path), |(stem, last)| (stem, last));
    let full = |name: &str| if stem.is_empty() { name.to_owned() } else { format!("{stem}.{name}") };
    let (target, expression) = match last {
        "activity_id" => (full("activity"), format!("{path} ?? {}", full("activity_name"))),
        "direction" | "type" if !stem.is_empty() => {
            (path.to_owned(), format!("{path} ?? {}", full(&format!("{last}_id"))))
        }
        _ => match last.strip_suffix("_id") {
            Some(name) if has_attribute(class, &class.profiles, &full(name)) => {
                (full(name), format!("{path} ?? {}", full(name)))
            }
            _ => (path.to_owned(), path.to_owned()),
        },
    };
    if has_attribute(class, &class.profiles, &target) {
        rules.insert(target, expression);
    }
}

/// Rules for what keeps a required attribute whole.
fn needs(
    class: &'static Class,
    attribute: &'static Attribute,
    above: &str,
    depth: usize,
    rules: &mut BTreeMap<String, String>,
) {
    let brackets = if attribute.is_array { "[]" } else { "" };
    let path = format!("{above}{}{brackets}", attribute.name);
    let Some(object) = schema().object_of(attribute).filter(|o| !o.is_free_form() && depth < DEPTH_MAX)
    else {
        return rule(class, &path, rules);
    };
    let below = format!("{path}.");
    let mut some = false;
    let mut follow = |attribute: &'static Attribute| {
        some = true;
        needs(class, attribute, &below, depth + 1, rules);
    };
    object.attributes.iter().filter(|a| is_needed(a)).for_each(&mut follow);
    let any = [&object.at_least_one, &object.just_one].into_iter().flatten();
    any.filter_map(|name| object.get(name)).filter(|a| a.object.is_none()).for_each(&mut follow);
    if !some {
        // Anything in it will do.
        scalars(&object.attributes).for_each(|attribute| needs(class, attribute, &below, depth + 1, rules));
    }
}

fn scalars(attributes: &'static Attributes) -> impl Iterator<Item = &'static Attribute> {
    attributes.iter().filter(|a| a.object.is_none() && a.profile.is_none())
}

fn is_needed(attribute: &Attribute) -> bool {
    const DERIVED: &[&str] = &["class_uid", "category_uid", "type_uid", "metadata"];
    attribute.requirement == Requirement::Required
        && attribute.profile.is_none()
        && !DERIVED.contains(&attribute.name)
}
