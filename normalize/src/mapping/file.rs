//! The shape of `source.yml`: its keys, read with positions; names are resolved by `compile`.

use linchpin_config::{Diagnostics, Located, SourceText, Span};

use super::node::{Faults, Node, Value, list, table, text, texts};
use super::{formats, native};
use crate::plan::Framing;
use crate::views::Open;

/// A mapping as written.
pub(super) struct SourceFile {
    pub name: Located<String>,
    pub title: String,
    pub ocsf: Located<String>,
    pub product: Vec<(Located<String>, Node)>,
    pub archive_level: i32,
    pub path: Vec<Located<String>>,
    pub recognise: Vec<Recognise>,
    pub framing: Framing,
    pub null: Vec<Located<String>>,
    pub carries: Vec<Located<String>>,
    pub any_case: bool,
    pub native: bool,
    pub aliases: Vec<(Located<String>, Vec<Located<String>>)>,
    pub opens: Vec<Open>,
    pub tables: Vec<(Located<String>, Node)>,
    pub common: Block,
    pub classes: Vec<Class>,
}

/// How an object of this source is told from others.
#[derive(Default)]
pub(super) struct Recognise {
    pub text: Vec<Located<String>>,
    pub has: Vec<Located<String>>,
    pub any: Vec<Located<String>>,
    pub values: Vec<(Located<String>, Vec<Located<String>>)>,
}

/// `set`, `map` and `also`.
#[derive(Default)]
pub(super) struct Block {
    pub set: Vec<(Located<String>, Node)>,
    pub map: Vec<(Located<String>, Node)>,
    pub also: Vec<Also>,
}

/// Rules that apply when more is true.
pub(super) struct Also {
    pub when: Vec<Condition>,
    pub block: Block,
}

/// One class of the mapping.
pub(super) struct Class {
    pub name: Located<String>,
    pub when: Vec<Condition>,
    pub profiles: Vec<Located<String>>,
    pub each: Option<Each>,
    pub mark: Option<String>,
    pub block: Block,
}

/// One row for every element of a list.
pub(super) struct Each {
    pub of: Located<String>,
    pub split: Option<String>,
    pub fields: Vec<Located<String>>,
}

/// An expression and the values it may have; `null` stands for absence, `*` for any presence.
pub(super) struct Condition {
    pub expr: Located<String>,
    pub values: Vec<Located<Option<String>>>,
}

const KEYS: &[&str] = &[
    "source",
    "title",
    "ocsf",
    "product",
    "archive",
    "recognise",
    "framing",
    "carries",
    "null",
    "keys",
    "native",
    "aliases",
    "parse",
    "patterns",
    "lookups",
    "common",
    "classes",
];

/// Keys that say how a source is recognised and framed.
const HEAD_KEYS: &[&str] = &["source", "title", "ocsf", "archive", "recognise", "framing", "keys"];

/// A mapping without keys.
fn blank(span: Span) -> SourceFile {
    let none = || Located { value: String::new(), span: Span { line: 1, column: 1 } };
    SourceFile {
        name: none(),
        title: String::new(),
        ocsf: Located { value: "1.8.0".into(), span },
        product: Vec::new(),
        archive_level: 3,
        path: Vec::new(),
        recognise: Vec::new(),
        framing: Framing::default(),
        null: Vec::new(),
        carries: Vec::new(),
        any_case: false,
        native: false,
        aliases: Vec::new(),
        opens: Vec::new(),
        tables: Vec::new(),
        common: Block::default(),
        classes: Vec::new(),
    }
}

/// Reads the keys of a mapping file.
pub(super) fn parse(source: &SourceText) -> Result<SourceFile, Diagnostics> {
    let (mut file, mut faults) = read(source)?;
    if file.native {
        native_classes(&mut file, &mut faults)?;
    }
    let start = Span { line: 1, column: 1 };
    if file.name.value.is_empty() {
        faults.add(start, "", "missing key `source`", Some("name it `vendor.product`".into()));
    }
    if file.classes.is_empty() {
        faults.add(
            start,
            "",
            "missing key `classes`",
            Some("the last class has no `when`: it is the default".into()),
        );
    }
    if faults.is_empty() { Ok(file) } else { Err(Diagnostics(faults.into_found())) }
}

/// Reads only [`HEAD_KEYS`], which make a small part of a file.
pub(super) fn head(source: &SourceText) -> Result<SourceFile, Diagnostics> {
    let (mut kept, mut text) = (true, String::new());
    for line in source.text().split_inclusive('\n') {
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            kept = line.split_once(':').is_some_and(|(key, _)| HEAD_KEYS.contains(&key));
        }
        if kept {
            text.push_str(line);
        }
    }
    let source = SourceText::new(source.file(), text);
    let (file, faults) = read(&source)?;
    if faults.is_empty() { Ok(file) } else { Err(Diagnostics(faults.into_found())) }
}

/// Reads the keys that are there.
fn read(source: &SourceText) -> Result<(SourceFile, Faults<'_>), Diagnostics> {
    let root: Node = linchpin_config::parse(source.file(), source.text())?;
    let mut faults = Faults::new(source);
    let mut file = blank(root.span);
    for (key, node) in table(&root, "a mapping", &mut faults) {
        match key.value.as_str() {
            "source" => file.name = text(node, "`source`", &mut faults),
            "title" => file.title = text(node, "`title`", &mut faults).value,
            "ocsf" => file.ocsf = text(node, "`ocsf`", &mut faults),
            "product" => file.product = table(node, "`product`", &mut faults).to_vec(),
            "archive" => file.archive_level = archive(node, &mut faults),
            "recognise" => {
                file.recognise =
                    list(node).iter().map(|n| recognise(n, &mut file.path, &mut faults)).collect();
            }
            "framing" => file.framing = formats::framing(node, &mut faults),
            "carries" => file.carries = texts(node, "`carries`", &mut faults),
            "native" => file.native = native(node, &mut faults),
            "keys" => file.any_case = any_case(node, &mut faults),
            "aliases" => {
                for (path, others) in table(node, "`aliases`", &mut faults) {
                    file.aliases.push((path.clone(), texts(others, "an alias", &mut faults)));
                }
            }
            "null" => file.null = texts(node, "`null`", &mut faults),
            // One path may have both: formats are tried first.
            "parse" | "patterns" => {}
            "lookups" => file.tables = table(node, "`lookups`", &mut faults).to_vec(),
            "common" => file.common = common(node, &mut faults),
            "classes" => file.classes = list(node).iter().map(|n| class(n, &mut faults)).collect(),
            _ => faults.unknown_key(key, KEYS),
        }
    }
    for (key, node) in table(&root, "a mapping", &mut faults) {
        match key.value.as_str() {
            "parse" => formats::parse(&mut file.opens, node, &mut faults),
            "patterns" => formats::patterns(&mut file.opens, node, &mut faults),
            _ => {}
        }
    }
    Ok((file, faults))
}

fn native(node: &Node, faults: &mut Faults<'_>) -> bool {
    let Value::Bool(native) = node.value else {
        faults.add(node.span, &node.value.shown(), "`native` must be true or false", None);
        return false;
    };
    native
}

/// The classes of a source whose events are OCSF already.
fn native_classes(file: &mut SourceFile, faults: &mut Faults<'_>) -> Result<(), Diagnostics> {
    if let Some(class) = file.classes.first() {
        let hint = Some("leave out `classes`: events say theirs".into());
        faults.add(
            class.name.span,
            &class.name.value,
            "a source with `native` has no classes of its own",
            hint,
        );
        return Ok(());
    }
    let source = SourceText::new("ocsf", native::classes());
    let root: Node = linchpin_config::parse(source.file(), source.text())?;
    let mut own = Faults::new(&source);
    for (_, node) in table(&root, "a mapping", &mut own) {
        file.classes = list(node).iter().map(|n| class(n, &mut own)).collect();
    }
    Ok(())
}

fn any_case(node: &Node, faults: &mut Faults<'_>) -> bool {
    let word = text(node, "`keys`", faults);
    match word.value.as_str() {
        "any_case" => return true,
        "exact" => {}
        other => {
            let hint = Some("known: any_case, exact".into());
            faults.add(word.span, other, format!("no comparison `{other}`"), hint);
        }
    }
    false
}

fn archive(node: &Node, faults: &mut Faults<'_>) -> i32 {
    let mut level = 3;
    for (key, node) in table(node, "`archive`", faults) {
        match (key.value.as_str(), &node.value) {
            ("level", Value::Int(n)) if (1..=19).contains(n) => level = *n as i32,
            ("level", other) => {
                faults.add(node.span, &other.shown(), "`level` must be a zstd level from 1 to 19", None);
            }
            _ => faults.unknown_key(key, &["level"]),
        }
    }
    level
}

fn recognise(node: &Node, in_path: &mut Vec<Located<String>>, faults: &mut Faults<'_>) -> Recognise {
    let mut out = Recognise::default();
    for (key, node) in table(node, "`recognise`", faults) {
        match key.value.as_str() {
            "path" => in_path.extend(texts(node, "`path`", faults)),
            "text" => out.text = texts(node, "`text`", faults),
            "has" => out.has = texts(node, "`has`", faults),
            "any" => out.any = texts(node, "`any`", faults),
            "values" => {
                for (path, values) in table(node, "`values`", faults) {
                    out.values.push((path.clone(), texts(values, "a value", faults)));
                }
            }
            _ => faults.unknown_key(key, &["path", "text", "has", "any", "values"]),
        }
    }
    out
}

fn common(node: &Node, faults: &mut Faults<'_>) -> Block {
    let mut block = Block::default();
    for (key, node) in table(node, "`common`", faults) {
        if !block_key(&mut block, key, node, faults) {
            faults.unknown_key(key, &["set", "map", "also"]);
        }
    }
    block
}

fn block_key(block: &mut Block, key: &Located<String>, node: &Node, faults: &mut Faults<'_>) -> bool {
    match key.value.as_str() {
        "set" => block.set = table(node, "`set`", faults).to_vec(),
        "map" => block.map = table(node, "`map`", faults).to_vec(),
        "also" => block.also = list(node).iter().map(|n| also(n, faults)).collect(),
        _ => return false,
    }
    true
}

fn also(node: &Node, faults: &mut Faults<'_>) -> Also {
    let mut out = Also { when: Vec::new(), block: Block::default() };
    for (key, node) in table(node, "an entry of `also`", faults) {
        match key.value.as_str() {
            "when" => out.when = conditions(node, faults),
            "set" | "map" => {
                block_key(&mut out.block, key, node, faults);
            }
            _ => faults.unknown_key(key, &["when", "set", "map"]),
        }
    }
    if out.when.is_empty() {
        faults.add(node.span, "", "an entry of `also` needs `when`", None);
    }
    out
}

fn class(node: &Node, faults: &mut Faults<'_>) -> Class {
    let mut out = Class {
        name: Located { value: String::new(), span: node.span },
        when: Vec::new(),
        profiles: Vec::new(),
        each: None,
        mark: None,
        block: Block::default(),
    };
    for (key, node) in table(node, "a class", faults) {
        match key.value.as_str() {
            "class" => out.name = text(node, "`class`", faults),
            "when" => out.when = conditions(node, faults),
            "profiles" => out.profiles = texts(node, "`profiles`", faults),
            "each" => out.each = Some(each(node, faults)),
            "mark" => out.mark = Some(text(node, "`mark`", faults).value),
            _ if block_key(&mut out.block, key, node, faults) => {}
            _ => {
                faults.unknown_key(key, &["class", "when", "profiles", "each", "mark", "set", "map", "also"]);
            }
        }
    }
    if out.name.value.is_empty() {
        faults.add(node.span, "", "a class needs `class`", Some("for example `class: api_activity`".into()));
    }
    out
}

fn each(node: &Node, faults: &mut Faults<'_>) -> Each {
    let mut out =
        Each { of: Located { value: String::new(), span: node.span }, split: None, fields: Vec::new() };
    if let Value::Text(_) = node.value {
        out.of = text(node, "`each`", faults);
        return out;
    }
    for (key, node) in table(node, "`each`", faults) {
        match key.value.as_str() {
            "of" => out.of = text(node, "`of`", faults),
            "split" => out.split = Some(text(node, "`split`", faults).value),
            "fields" => out.fields = texts(node, "`fields`", faults),
            _ => faults.unknown_key(key, &["of", "split", "fields"]),
        }
    }
    out
}

fn conditions(node: &Node, faults: &mut Faults<'_>) -> Vec<Condition> {
    let mut out = Vec::new();
    for (expr, values) in table(node, "`when`", faults) {
        let values = list(values)
            .iter()
            .map(|value| {
                let text = match &value.value {
                    Value::Null => None,
                    scalar => Some(scalar.shown()),
                };
                Located { value: text, span: value.span }
            })
            .collect();
        out.push(Condition { expr: expr.clone(), values });
    }
    out
}
