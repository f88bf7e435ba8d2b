//! Full OCSF documents: the slow way, taken only for events that somebody asked for.
//!
//! A document is valid: an object that lacks what the schema requires is moved to `unmapped`, and
//! an event that lacks what its class requires is rendered as class 0.

mod native;
mod observables;
pub(crate) mod repair;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde_json::{Map, Value, json};

use crate::eval::{Given, Place, View, enumerate};
use crate::event::{BaseRow, EventRow, MARK_REJECT, Sink};
use crate::pass::ReplayUnit;
use crate::plan::{Alternative, Candidate, Constant, Expr, Operand, Rule, Target, TargetLeaf};
use crate::rows::direction;
use crate::scan::{Kind, Leaf};
use crate::schema::schema;
use crate::unit::EventId;
use crate::value::{Val, is_internal};

use tree::Tree;

/// Most bytes of a class 0 event's raw data in its document; the archive has all of them.
const RAW_DATA_MAX: usize = 64 << 10;

/// Writes OCSF documents.
pub(crate) struct DocumentSink<'a> {
    unit: &'a ReplayUnit<'a>,
    offset: u32,
    bytes: &'a [u8],
    sha256: [u8; 32],
    /// Source of the rows.
    source: Arc<str>,
    pub documents: Vec<Value>,
    /// What each document says of its event, if somebody asked for it.
    pub coverage: Option<Vec<Coverage>>,
}

/// How much of an event its document says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Source of the document.
    pub source: Arc<str>,
    /// Values of the event; nulls are none.
    pub fields: u64,
    /// Paths of those that no rule took, in the order of the event.
    pub unmapped: Vec<String>,
}

impl<'a> DocumentSink<'a> {
    pub(crate) fn new(unit: &'a ReplayUnit<'a>, offset: u32, bytes: &'a [u8], sha256: [u8; 32]) -> Self {
        let source = Arc::from(unit.source);
        Self { unit, offset, bytes, sha256, source, documents: Vec::new(), coverage: None }
    }

    fn event_id(&self, sub: u32) -> String {
        EventId::new(self.unit.key, self.offset, sub).to_string()
    }

    /// What every document says of its raw bytes.
    fn raw(&self, document: &mut Map<String, Value>) {
        let mut hex = [0; 64];
        crate::unit::hex_into(&self.sha256, &mut hex);
        let value = String::from_utf8_lossy(&hex);
        document.insert(
            "raw_data_hash".into(),
            json!({ "algorithm": "SHA-256", "algorithm_id": 3, "value": value }),
        );
        document.insert("raw_data_size".into(), json!(self.bytes.len()));
    }

    fn base_document(&self, sub: u32, marks: &str, time_micros: Option<i64>, reason: Option<&str>) -> Value {
        let mut document = Map::new();
        for (key, value) in [
            ("activity_id", json!(0)),
            ("activity_name", json!("Unknown")),
            ("category_name", json!("Uncategorized")),
            ("category_uid", json!(0)),
            ("class_name", json!("Base Event")),
            ("class_uid", json!(0)),
            ("type_uid", json!(0)),
            ("severity", json!("Unknown")),
            ("severity_id", json!(0)),
            ("time", json!(time_micros.map_or(self.unit.received_ms, |t| t.div_euclid(1000)))),
        ] {
            document.insert(key.into(), value);
        }
        document.insert(
            "metadata".into(),
            json!({
                "version": schema().version(),
                "uid": self.event_id(sub),
                "log_name": self.source.as_ref(),
                "labels": marks.split(',').filter(|m| !m.is_empty()).collect::<Vec<_>>(),
                "product": { "name": self.source.as_ref(), "vendor_name": "Unknown" },
            }),
        );
        if let Some(reason) = reason {
            document.insert("message".into(), json!(reason));
        }
        let shown = &self.bytes[..self.bytes.len().min(RAW_DATA_MAX)];
        document.insert("raw_data".into(), json!(String::from_utf8_lossy(shown)));
        self.raw(&mut document);
        Value::Object(document)
    }

    fn document(&mut self, row: &EventRow<'_>) -> Result<Value, &'static str> {
        let class = row.class;
        if class.native {
            return self.native(row);
        }
        let mut builder = Builder { view: row.view, tree: Tree::default(), used: FxHashSet::default() };
        for target in &class.targets {
            builder.target(target, row.alsos);
        }
        let mut time_text = None;
        if let Some(target) = class.targets.iter().find(|t| &*t.text == "time") {
            time_text = builder.source_text(target, row.alsos);
        }
        let unmapped = builder.unmapped();
        if let Some(coverage) = &mut self.coverage {
            let paths = builder.rest().map(|leaf| row.view.paths.text(leaf.path));
            let fields = builder.leaves().count() as u64;
            coverage.push(Coverage { source: Arc::clone(&self.source), fields, unmapped: paths.collect() });
        }
        let mut document = builder.tree.into_object();
        let activity = document.get("activity_id").and_then(Value::as_i64).unwrap_or(0);
        let type_uid = class.class.type_uid(activity);
        for (key, value) in [
            ("category_name", json!(class.class.category_name)),
            ("category_uid", json!(class.class.category_uid)),
            ("class_name", json!(class.class.caption)),
            ("class_uid", json!(class.class.uid)),
            ("type_uid", json!(type_uid)),
        ] {
            document.insert(key.into(), value);
        }
        document.entry("time").or_insert(json!(self.unit.received_ms));
        self.metadata(&mut document, row, time_text);
        derive_direction(&mut document, class.class.get("connection_info").is_some());
        self.raw(&mut document);
        let mut rest = unmapped;
        repair::class(schema(), class.class, &mut document, &mut rest)?;
        if !rest.is_empty() {
            document.insert("unmapped".into(), Value::Object(rest));
        }
        let found = observables::of(class.class, &document);
        if !found.is_empty() {
            document.insert("observables".into(), Value::Array(found));
        }
        Ok(Value::Object(document))
    }

    fn metadata(&self, document: &mut Map<String, Value>, row: &EventRow<'_>, time_text: Option<String>) {
        let metadata = document.entry("metadata").or_insert_with(|| json!({}));
        let Value::Object(metadata) = metadata else { return };
        metadata.insert("version".into(), json!(schema().version()));
        if !row.class.profiles.is_empty() {
            metadata.insert("profiles".into(), json!(row.class.profiles));
        }
        metadata.entry("uid").or_insert_with(|| json!(self.event_id(row.sub)));
        metadata.entry("log_name").or_insert_with(|| json!(self.source.as_ref()));
        if let Some(text) = time_text {
            metadata.entry("original_time").or_insert(json!(text));
        }
        if !row.marks.is_empty() {
            metadata.entry("labels").or_insert_with(|| json!(row.marks.split(',').collect::<Vec<_>>()));
        }
    }
}

impl Sink for DocumentSink<'_> {
    fn row(&mut self, row: &EventRow<'_>) {
        let document = self.document(row);
        let document = document.unwrap_or_else(|missing| {
            let reason =
                format!("`{}` requires `{missing}`, and no rule found a value", row.class.class.name);
            let time = crate::source::time(row.class, row.view, row.alsos);
            self.base_document(row.sub, MARK_REJECT, time, Some(&reason))
        });
        self.documents.push(document);
    }

    fn base(&mut self, row: &BaseRow<'_>) {
        let reason = row.reject.as_ref().map(|(_, reason)| reason.as_str());
        if let Some(coverage) = &mut self.coverage {
            coverage.push(Coverage { source: Arc::clone(&self.source), ..Coverage::default() });
        }
        self.documents.push(self.base_document(row.sub, row.marks, row.time_micros, reason));
    }

    fn source(&mut self, name: &Arc<str>) {
        self.source = Arc::clone(name);
    }
}

/// The direction of a flow whose mapping does not say it.
fn derive_direction(document: &mut Map<String, Value>, has_connection_info: bool) {
    let internal = |end: &str| {
        let ip = document.get(end)?.get("ip")?.as_str()?;
        ip.parse().ok().map(is_internal)
    };
    let known = document.get("connection_info").is_some_and(|c| c.get("direction_id").is_some());
    let touched = document.contains_key("connection_info");
    let (src, dst) = (internal("src_endpoint"), internal("dst_endpoint"));
    if !has_connection_info || known || !touched && (src.is_none() || dst.is_none()) {
        return;
    }
    let caption = src.zip(dst).map_or("Unknown", |(src, dst)| direction(src, dst));
    let id = ["Unknown", "Inbound", "Outbound", "Lateral"].iter().position(|c| *c == caption).unwrap_or(0);
    if let Value::Object(info) = document.entry("connection_info").or_insert_with(|| json!({})) {
        info.insert("direction_id".into(), json!(id));
        info.insert("direction".into(), json!(caption));
    }
}

/// Fills a document from the targets of a class, and notes which of the event's values were used.
struct Builder<'e> {
    view: View<'e>,
    tree: Tree,
    /// Start offsets of the leaves that some target took.
    used: FxHashSet<u32>,
}

impl<'e> Builder<'e> {
    fn target(&mut self, target: &'e Target, alsos: u64) {
        let in_array = target.segments.iter().any(|s| s.array);
        for Candidate { also, rule } in &target.candidates {
            if also.is_some_and(|n| alsos >> n & 1 == 0) {
                continue;
            }
            let done = match (rule, &target.leaf) {
                (Rule::Expr(expr), TargetLeaf::Tree(attribute)) => {
                    self.subtree(target, expr, attribute.object.is_some())
                }
                (Rule::Expr(expr), _) if in_array => self.values(target, expr),
                (Rule::Lookup { expr, table, otherwise, absent }, _) if in_array => {
                    let found = self.view.all(expr).unwrap_or_default();
                    let constants: Vec<_> = found
                        .iter()
                        .filter_map(|(e, v)| Some((*e, table.get(v.text().as_ref()).or(otherwise.as_ref())?)))
                        .collect();
                    let constants = match (found.is_empty(), absent) {
                        (true, Some(absent)) => vec![(0, absent)],
                        _ => constants,
                    };
                    let some = !constants.is_empty();
                    for (element, constant) in constants {
                        self.put(target, element, Given::Constant(constant));
                    }
                    self.note(expr, some);
                    some
                }
                _ => self.single(target, rule),
            };
            if done {
                return;
            }
        }
    }

    fn single(&mut self, target: &'e Target, rule: &'e Rule) -> bool {
        let given = match rule {
            Rule::Constant(constant) => Some(Given::Constant(constant)),
            Rule::Expr(expr) => {
                let value = self.view.expr(expr).ok().flatten();
                let done = value.is_some_and(|value| self.put(target, 0, Given::Value(value)));
                // A value that its target refused stays in `unmapped`.
                self.note(expr, done);
                return done;
            }
            Rule::Lookup { expr, table, otherwise, absent } => {
                let found = match self.view.expr(expr).ok().flatten() {
                    Some(value) => table.get(value.text().as_ref()).or(otherwise.as_ref()),
                    None => absent.as_ref(),
                };
                self.note(expr, found.is_some());
                found.map(Given::Constant)
            }
        };
        given.is_some_and(|given| self.put(target, 0, given))
    }

    fn values(&mut self, target: &'e Target, expr: &'e Expr) -> bool {
        let values = self.view.all(expr).unwrap_or_default();
        let mut some = false;
        for (element, value) in values {
            some |= self.put(target, element, Given::Value(value));
        }
        self.note(expr, some);
        some
    }

    fn subtree(&mut self, target: &'e Target, expr: &'e Expr, object: bool) -> bool {
        for alternative in &expr.alternatives {
            let Operand::Tree(path) = &alternative.operand else { continue };
            let mut below = Tree::default();
            let mut some = false;
            for leaf in &self.view.scanned.leaves {
                let text = self.view.paths.text(leaf.path);
                if !text
                    .strip_prefix(&**path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                {
                    continue;
                }
                // A null in place of the tree is no tree; one within it belongs to its structure.
                if leaf.kind == Kind::Null && text == **path {
                    continue;
                }
                below.leaf(&self.view, leaf, steps(path));
                self.used.insert(leaf.start);
                some = true;
            }
            if some {
                let value = match below.into_value() {
                    value @ Value::Object(_) => value,
                    other if object => json!({ "value": other }),
                    other => other,
                };
                self.tree.put(&target.segments, &[], value);
                return true;
            }
        }
        false
    }

    /// Puts a value into the document, converted to its target's type; false if it does not fit.
    fn put(&mut self, target: &'e Target, element: u32, given: Given<'e, 'e>) -> bool {
        let elements = self.chain(element);
        let (value, caption) = match (&target.leaf, given) {
            (TargetLeaf::Enum { .. }, Given::Constant(Constant::Enum(n, caption))) => {
                (json!(n), Some(caption.to_string()))
            }
            (TargetLeaf::Enum { id, .. }, Given::Value(value)) => {
                let (n, caption) = enumerate(id, value);
                (json!(n), Some(caption.into_owned()))
            }
            (_, Given::Constant(constant)) => (constant_json(constant), None),
            (TargetLeaf::Value(attribute), Given::Value(value)) => match value.convert(attribute) {
                Ok(value) => (value_json(&value, attribute.ty.base() == crate::schema::Base::Float), None),
                Err(_) => return false,
            },
            (TargetLeaf::Tree(_), Given::Value(value)) => (value_json(&value, false), None),
        };
        self.tree.put(&target.segments, &elements, value);
        if let (TargetLeaf::Enum { caption: attribute, .. }, Some(caption)) = (&target.leaf, caption) {
            let mut segments = target.segments.clone();
            if let Some(last) = segments.last_mut() {
                last.name = attribute.name;
            }
            self.tree.put(&segments, &elements, json!(caption));
        }
        true
    }

    /// Array elements around `element`, the outermost first.
    fn chain(&self, mut element: u32) -> Vec<u32> {
        let mut chain = Vec::new();
        while element != 0 {
            chain.push(element);
            element = self.view.scanned.elements[element as usize];
        }
        chain.reverse();
        chain
    }

    /// Notes the leaves that an expression took its value from.
    fn note(&mut self, expr: &'e Expr, gave: bool) {
        if !gave {
            return;
        }
        if let Some(alternative) = self.chosen(expr) {
            self.note_operand(&alternative.operand);
        }
    }

    fn note_operand(&mut self, operand: &'e Operand) {
        match *operand {
            Operand::Slot(slot) if self.view.row.is_none() && self.view.slots.all(slot).len() > 1 => {
                self.used.extend(self.view.slots.all(slot).iter().map(|(_, place)| place.start));
            }
            Operand::Slot(slot) => self.used.extend(self.view.slot(slot).map(|place| place.start)),
            Operand::Pick { key, ref equals, value } => {
                let places = self.view.pick(key, equals, value);
                self.used.extend(places.into_iter().flat_map(|(key, value)| [key.start, value.start]));
            }
            Operand::Element | Operand::Field(_) => {
                self.used.extend(self.view.row.and_then(|r| r.place).map(|p: Place| p.start));
            }
            Operand::Literal(_) | Operand::Tree(_) => {}
            Operand::Join(ref parts) => parts.iter().for_each(|part| self.note_operand(part)),
        }
    }

    fn chosen(&self, expr: &'e Expr) -> Option<&'e Alternative> {
        expr.alternatives.iter().find(|a| self.view.gives(a))
    }

    /// The text that the target's value was read from.
    fn source_text(&self, target: &'e Target, alsos: u64) -> Option<String> {
        let candidate = target.candidates.iter().find(|c| {
            c.also.is_none_or(|n| alsos >> n & 1 == 1)
                && matches!(&c.rule, Rule::Expr(expr) if self.view.expr(expr).is_ok_and(|v| v.is_some()))
        })?;
        let Rule::Expr(expr) = &candidate.rule else { return None };
        self.view.operand(&self.chosen(expr)?.operand).map(|v| v.text().into_owned())
    }

    /// Everything that no target took, in the event's own structure.
    fn unmapped(&self) -> Map<String, Value> {
        let mut rest = Tree::default();
        for leaf in self.rest() {
            rest.leaf(&self.view, leaf, 0);
        }
        rest.into_object()
    }

    /// The values that no target took.
    fn rest(&self) -> impl Iterator<Item = &'e Leaf> {
        self.leaves().filter(|leaf| !self.used.contains(&leaf.start))
    }

    /// The values of the event that concern the row.
    fn leaves(&self) -> impl Iterator<Item = &'e Leaf> {
        let view = self.view;
        let opened = &view.scanned.opened;
        view.scanned.leaves.iter().enumerate().filter_map(move |(index, leaf)| {
            // What was opened is there by its parts.
            let inside = !opened.is_empty() && (opened.contains(&(index as u32)) || view.is_template(leaf));
            // A null says nothing; the raw event keeps it.
            (!inside && leaf.kind != Kind::Null && view.in_row(leaf)).then_some(leaf)
        })
    }
}

/// Number of steps of a canonical path: separators outside quotes, and the first.
fn steps(path: &str) -> usize {
    let outside = path.split('"').step_by(2);
    1 + outside.map(|part| part.matches(['.', '[']).count()).sum::<usize>()
}

fn constant_json(constant: &Constant) -> Value {
    match constant {
        Constant::Text(text) => json!(text.as_ref()),
        Constant::Int(n) | Constant::Enum(n, _) => json!(n),
        Constant::Bool(b) => json!(b),
    }
}

fn value_json(value: &Val<'_>, float: bool) -> Value {
    match value {
        Val::Time(micros) => json!(micros.div_euclid(1000)),
        Val::Int(n) => json!(n),
        Val::Bool(b) => json!(b),
        // Digits that no float holds are lost in an attribute that is one.
        Val::Number(_) | Val::Text(_) if float => {
            value.text().parse::<f64>().map_or(Value::Null, |x| json!(x))
        }
        Val::Number(text) => tree::number(text),
        Val::Text(text) => json!(text),
    }
}
