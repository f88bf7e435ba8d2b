//! Makes the facts file of the OCSF schema that the normalizer embeds.
//!
//! The input is a compiled schema (extends, includes, profiles and the dictionary resolved). The
//! output holds no prose: names, captions, types, requirements, profiles, enums and constraints.
//! Definitions repeat a lot, so each attribute name has a short list of distinct definitions, and
//! a class or object names the ones it uses: `status_id` is the first, `status_id.2` the third.
//! Everything is sorted and one fact is one line, so a new schema version is a readable diff.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

/// Distinct definitions (rendered JSON) of each attribute name, in a stable order.
type Dictionary = BTreeMap<String, Vec<String>>;

/// Reads the `compiled` schema and writes the facts file to `out`.
pub(crate) fn generate(compiled: &Path, out: &Path) -> Result<()> {
    fs::write(out, render(&read(compiled)?)?).with_context(|| format!("cannot write `{}`", out.display()))
}

/// The version that the `compiled` schema states: part of the facts file's name.
pub(crate) fn version(compiled: &Path) -> Result<String> {
    let version = read(compiled)?["version"].as_str().map(str::to_owned);
    version.with_context(|| format!("`{}` states no version", compiled.display()))
}

fn read(compiled: &Path) -> Result<Value> {
    let text =
        fs::read_to_string(compiled).with_context(|| format!("cannot read `{}`", compiled.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is not JSON", compiled.display()))
}

/// The text of the facts file.
fn render(schema: &Value) -> Result<String> {
    let classes: BTreeMap<_, _> =
        table(schema, "classes")?.iter().filter(|(_, class)| class["class_uid"].is_u64()).collect();
    let objects: BTreeMap<_, _> =
        table(schema, "objects")?.iter().filter(|(name, _)| !name.starts_with('_')).collect();
    let types = table(schema, "types")?;
    let dictionary = dictionary(classes.values().chain(objects.values()).copied(), types)?;

    let mut text = format!(
        "{{\n\"version\": {},\n\"source\": \"Open Cybersecurity Schema Framework, Apache-2.0\",\n",
        schema["version"]
    );
    let blocks = [
        ("attributes", dictionary.iter().map(|(name, forms)| definitions(name, forms)).collect::<Vec<_>>()),
        ("classes", collect(classes.values(), |class| class_line(class, schema, &dictionary, types))?),
        ("objects", collect(objects.values(), |object| object_line(object, &dictionary, types))?),
    ];
    for (index, (name, lines)) in blocks.iter().enumerate() {
        let (open, close) = if *name == "attributes" { ('{', '}') } else { ('[', ']') };
        let comma = if index + 1 < blocks.len() { "," } else { "" };
        write!(text, "\"{name}\": {open}\n{}\n{close}{comma}\n", lines.join(",\n"))?;
    }
    text.push_str("}\n");
    ensure!(!text.contains('\\'), "a name or caption needs JSON escapes, which the loader does not read");
    Ok(text)
}

fn collect<'v>(
    values: impl Iterator<Item = &'v &'v Value>,
    line: impl Fn(&Value) -> Result<String>,
) -> Result<Vec<String>> {
    values.map(|value| line(value)).collect()
}

fn table<'v>(value: &'v Value, name: &str) -> Result<&'v Map<String, Value>> {
    value[name].as_object().with_context(|| format!("the compiled schema has no table `{name}`"))
}

/// The distinct definitions of every attribute that the records use.
fn dictionary<'v>(
    records: impl Iterator<Item = &'v Value>,
    types: &Map<String, Value>,
) -> Result<Dictionary> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in records {
        for (name, attribute) in table(record, "attributes")? {
            found.entry(name.clone()).or_default().insert(definition(attribute, types)?);
        }
    }
    Ok(found.into_iter().map(|(name, forms)| (name, forms.into_iter().collect())).collect())
}

/// One attribute's definition. Absent keys mean: no, none, optional.
fn definition(attribute: &Value, types: &Map<String, Value>) -> Result<String> {
    let ty = attribute["type"].as_str().context("an attribute has no type")?;
    let mut facts = Map::new();
    facts.insert("type".into(), ty.into());
    for key in ["object", "profile", "sibling"] {
        if attribute[key].is_string() {
            facts.insert(key.into(), attribute[key].clone());
        }
    }
    if attribute["is_array"] == true {
        facts.insert("array".into(), true.into());
    }
    if attribute["requirement"] != "optional" {
        facts.insert("requirement".into(), attribute["requirement"].clone());
    }
    if attribute["deprecated"].is_object() {
        facts.insert("deprecated".into(), true.into());
    }
    let types_own = types.get(ty).map_or(&Value::Null, |facts| &facts["observable"]);
    if let Some(id) = [&attribute["observable"], types_own].into_iter().find(|id| id.is_u64()) {
        facts.insert("observable".into(), id.clone());
    }
    if let Some(values) = attribute["enum"].as_object() {
        let (key, pairs) = enumeration(values);
        facts.insert(key.into(), pairs);
    }
    Ok(serde_json::to_string(&facts)?)
}

/// An enum as pairs: `enum` in numeric order, or `names` when its keys are strings.
fn enumeration(values: &Map<String, Value>) -> (&'static str, Value) {
    let numbers: Result<BTreeMap<i64, &Value>, _> =
        values.iter().map(|(key, caption)| key.parse().map(|key| (key, caption))).collect();
    match numbers {
        Ok(numbers) => ("enum", numbers.into_iter().map(|pair| json!(pair)).collect()),
        Err(_) => ("names", values.iter().map(|pair| json!(pair)).collect()),
    }
}

fn definitions(name: &str, forms: &[String]) -> String {
    format!("\"{name}\": [\n {}\n]", forms.join(",\n "))
}

fn class_line(
    class: &Value,
    schema: &Value,
    dictionary: &Dictionary,
    types: &Map<String, Value>,
) -> Result<String> {
    let category = table(schema, "categories")?
        .values()
        .find(|category| category["uid"] == class["category_uid"])
        .map_or_else(|| json!("Uncategorized"), |category| category["caption"].clone());
    let mut facts = Map::new();
    for (key, value) in [
        ("name", &class["name"]),
        ("caption", &class["caption"]),
        ("uid", &class["class_uid"]),
        ("category_uid", &class["category_uid"]),
        ("category_name", &category),
        ("profiles", &class["profiles"]),
    ] {
        facts.insert(key.into(), value.clone());
    }
    if class["deprecated"].is_object() {
        facts.insert("deprecated".into(), true.into());
    }
    record_line(facts, class, dictionary, types)
}

fn object_line(object: &Value, dictionary: &Dictionary, types: &Map<String, Value>) -> Result<String> {
    let mut facts = Map::new();
    facts.insert("name".into(), object["name"].clone());
    if object["observable"].is_u64() {
        facts.insert("observable".into(), object["observable"].clone());
    }
    record_line(facts, object, dictionary, types)
}

/// What classes and objects share: constraints and the attributes, one reference a line.
fn record_line(
    mut facts: Map<String, Value>,
    record: &Value,
    dictionary: &Dictionary,
    types: &Map<String, Value>,
) -> Result<String> {
    for (key, value) in record["constraints"].as_object().into_iter().flatten() {
        ensure!(["at_least_one", "just_one"].contains(&key.as_str()), "unknown constraint `{key}`");
        facts.insert(key.clone(), value.clone());
    }
    let mut references = Vec::new();
    for (name, attribute) in table(record, "attributes")? {
        let form = definition(attribute, types)?;
        match dictionary.get(name).and_then(|forms| forms.iter().position(|known| *known == form)) {
            Some(0) => references.push(name.clone()),
            Some(index) => references.push(format!("{name}.{index}")),
            None => bail!("attribute `{name}` is not in the dictionary"),
        }
    }
    references.sort();
    let head = serde_json::to_string(&facts)?;
    let head = head.trim_end_matches('}');
    Ok(format!(
        "{head},\"attributes\":[\n{}]}}",
        json!(references).to_string()[1..].trim_end_matches(']').replace(',', ",\n")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn definitions_are_shared_and_prose_is_dropped() {
        let schema = json!({
            "version": "1.0",
            "categories": {"iam": {"uid": 3, "caption": "Access"}},
            "types": {"ip_t": {"observable": 2}, "integer_t": {}},
            "classes": {
                "abstract": {"attributes": {}},
                "login": {
                    "name": "login", "caption": "Login", "class_uid": 3002, "category_uid": 3, "profiles": [],
                    "description": "prose", "constraints": {"at_least_one": ["ip"]}, "deprecated": null,
                    "attributes": {
                        "status_id": {"type": "integer_t", "requirement": "required", "description": "prose",
                            "is_array": false, "sibling": "status", "enum": {"99": "Other", "1": "Success"}},
                        "ip": {"type": "ip_t", "requirement": "optional", "is_array": true},
                    },
                },
            },
            "objects": {"host": {"name": "host", "observable": 20, "constraints": null, "attributes": {
                "ip": {"type": "ip_t", "requirement": "recommended", "is_array": true}}}},
        });
        let text = render(&schema).unwrap();
        let facts: Value = serde_json::from_str(&text).unwrap();
        assert!(!text.contains("prose"));
        assert_eq!(
            facts["attributes"],
            json!({
                "ip": [
                    {"type": "ip_t", "array": true, "observable": 2},
                    {"type": "ip_t", "array": true, "requirement": "recommended", "observable": 2},
                ],
                "status_id": [{"type": "integer_t", "sibling": "status", "requirement": "required",
                    "enum": [[1, "Success"], [99, "Other"]]}],
            })
        );
        assert_eq!(
            facts["classes"],
            json!([{"name": "login", "caption": "Login", "uid": 3002, "category_uid": 3,
                "category_name": "Access", "profiles": [], "at_least_one": ["ip"],
                "attributes": ["ip", "status_id"]}])
        );
        assert_eq!(facts["objects"], json!([{"name": "host", "observable": 20, "attributes": ["ip.1"]}]));
    }

    /// The committed file is what the generator makes, where the compiled schema is at hand.
    #[test]
    fn committed_facts_are_current() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let Ok(compiled) = fs::read_to_string(root.join("../../shared/ocsf/compiled.json")) else { return };
        let committed = fs::read_to_string(root.join("../normalize/schema/ocsf-1.8.0.json")).unwrap();
        let made = render(&serde_json::from_str(&compiled).unwrap()).unwrap();
        assert!(made == committed, "run `cargo xtask ocsf COMPILED.json`");
    }
}
