//! From a mapping as written to a plan: every name is resolved, every fault is reported.

use std::sync::{Arc, LazyLock};

use linchpin_config::{Diagnostics, Located, SourceText, Span, nearest};
use rustc_hash::FxHashMap;

use super::check;
use super::expr::{self, canonical_path};
use super::file::{self, Block, Condition, SourceFile};
use super::node::{Faults, Node, Value, table};
use crate::columns::COLUMNS;
use crate::functions::{FUNCTIONS, function};
use crate::glob::Glob;
use crate::plan::{
    ALSO_MAX, Alternative, Candidate, ClassPlan, Constant, Each, Expr, Framing, HAS_MAX, MakeRules, Operand,
    Plan, Recognise, Rule, Rules, Selector, Slots, Target, TargetLeaf, Test, VALUES_MAX,
};
use crate::schema::schema;

/// Compiles a mapping whose keys have been read.
pub(super) fn compile(source: &SourceText, mut file: SourceFile) -> Result<Plan, Diagnostics> {
    let (framing, opens) = (std::mem::take(&mut file.framing), std::mem::take(&mut file.opens));
    let mut compiler = Compiler::new(source);
    let rules = Rules { opens, ..compiler.rules(&file) };
    let plan = compiler.plan(&file, framing, Box::new(|| rules));
    compiler.unless_faults(plan)
}

/// Compiles what a source is recognised by; `rules` makes the rest.
pub(super) fn head(source: &SourceText, mut file: SourceFile, rules: MakeRules) -> Result<Plan, Diagnostics> {
    let framing = std::mem::take(&mut file.framing);
    let mut compiler = Compiler::new(source);
    let plan = compiler.plan(&file, framing, rules);
    compiler.unless_faults(plan)
}

/// Compiles the rest.
pub(super) fn rules(source: &SourceText, mut file: SourceFile) -> Result<Rules, Diagnostics> {
    let opens = std::mem::take(&mut file.opens);
    let mut compiler = Compiler::new(source);
    let rules = Rules { opens, ..compiler.rules(&file) };
    compiler.unless_faults(rules)
}

pub(super) struct Compiler<'s, 'f> {
    pub(super) faults: Faults<'s>,
    pub(super) slots: Slots,
    pub(super) selectors: Vec<Selector>,
    selector_of: FxHashMap<String, u16>,
    /// Shared tables by name.
    lookups: FxHashMap<&'f str, &'f Node>,
    /// Fields of the class's `each`.
    fields: Vec<String>,
    each: bool,
    common_used: Vec<bool>,
    pub(super) aliases: Vec<(Box<str>, Box<str>)>,
}

impl<'s, 'f> Compiler<'s, 'f> {
    fn new(source: &'s SourceText) -> Self {
        Self {
            faults: Faults::new(source),
            slots: Slots::default(),
            selectors: Vec::new(),
            selector_of: FxHashMap::default(),
            lookups: FxHashMap::default(),
            fields: Vec::new(),
            each: false,
            aliases: Vec::new(),
            common_used: Vec::new(),
        }
    }

    fn unless_faults<T>(self, compiled: T) -> Result<T, Diagnostics> {
        if self.faults.is_empty() { Ok(compiled) } else { Err(Diagnostics(self.faults.into_found())) }
    }

    fn plan(&mut self, file: &SourceFile, framing: Framing, rules: MakeRules) -> Plan {
        if file.ocsf.value != schema().version() {
            let hint = Some(format!("this build knows `{}`", schema().version()));
            self.faults.add(file.ocsf.span, &file.ocsf.value, "unknown OCSF version", hint);
        }
        let mut recognise: Vec<_> = file.recognise.iter().map(|from| self.recognise(from)).collect();
        if recognise.is_empty() {
            recognise.push(Recognise::default());
        }
        Plan {
            path: file.path.iter().map(|t| t.value.clone()).collect(),
            name: file.name.value.as_str().into(),
            title: file.title.clone(),
            archive_level: file.archive_level,
            recognise,
            framing,
            any_case: file.any_case,
            rules: LazyLock::new(rules),
        }
    }

    fn rules(&mut self, file: &'f SourceFile) -> Rules {
        self.common_used = vec![false; file.common.set.len() + file.common.map.len()];
        self.lookups = file.tables.iter().map(|(name, node)| (name.value.as_str(), node)).collect();
        self.aliases = self.prefixes(file);
        let mut classes: Vec<_> = file.classes.iter().filter_map(|class| self.class(file, class)).collect();
        self.unreachable(file);
        let unused =
            file.common.set.iter().chain(&file.common.map).zip(&self.common_used).filter(|(_, used)| !**used);
        for ((target, _), _) in unused {
            self.faults.add(
                target.span,
                &target.value,
                format!("no class of this mapping has the attribute `{}`", target.value),
                None,
            );
        }
        self.stars(&mut classes);
        if file.any_case {
            self.slots.fold();
        }
        Rules {
            null: file.null.iter().map(|t| t.value.clone()).collect(),
            opens: Vec::new(),
            carries: file.carries.iter().filter_map(|text| self.carry(text)).collect(),
            aliases: std::mem::take(&mut self.aliases),
            classes,
            slots: std::mem::take(&mut self.slots),
            selectors: std::mem::take(&mut self.selectors),
        }
    }

    /// Only the last class may lack `when`.
    fn unreachable(&mut self, file: &SourceFile) {
        let Some((last, rest)) = file.classes.split_last() else { return };
        for class in rest.iter().filter(|c| c.when.is_empty()) {
            let hint = Some("move it to the end: a class without `when` takes every event".into());
            self.faults.add(
                class.name.span,
                &class.name.value,
                "the classes after this one are unreachable",
                hint,
            );
        }
        if !last.when.is_empty() {
            let hint = Some("end with a class without `when`: it is the default".into());
            self.faults.add(last.name.span, &last.name.value, "events that fit no class would be lost", hint);
        }
    }

    fn recognise(&mut self, from: &file::Recognise) -> Recognise {
        let spare =
            from.has.iter().skip(HAS_MAX).chain(from.values.iter().skip(VALUES_MAX).map(|(key, _)| key));
        for text in spare {
            self.faults.add(text.span, &text.value, "too many conditions in `recognise`", None);
        }
        let mut path = |text: &Located<String>| {
            canonical_path(&text.value).unwrap_or_else(|| {
                self.faults.add(text.span, &text.value, format!("`{}` is not a path", text.value), None);
                String::new()
            })
        };
        Recognise {
            has: from.has.iter().map(&mut path).collect(),
            any: from.any.iter().map(&mut path).collect(),
            values: from
                .values
                .iter()
                .map(|(key, values)| (path(key), values.iter().map(|v| v.value.clone()).collect()))
                .collect(),
            text: from.text.iter().map(|t| Glob::new(&t.value)).collect(),
        }
    }

    fn class(&mut self, file: &'f SourceFile, from: &'f file::Class) -> Option<ClassPlan> {
        let Some(class) = schema().class(&from.name.value).filter(|c| !c.deprecated) else {
            let names = schema().classes().filter(|c| !c.deprecated).map(|c| c.name);
            let hint = nearest(&from.name.value, names).map(|name| format!("did you mean `{name}`?"));
            let known = schema().class(&from.name.value).is_some();
            let what = if known { "deprecated OCSF class" } else { "no OCSF class" };
            self.faults.add(from.name.span, &from.name.value, format!("{what} `{}`", from.name.value), hint);
            return None;
        };
        let before = self.faults.len();
        let profiles = self.profiles(class, &from.profiles);
        let each = self.each(from);
        let mut plan = ClassPlan {
            class,
            profiles,
            mark: from.mark.clone(),
            native: file.native,
            when: Vec::new(),
            each,
            alsos: Vec::new(),
            targets: Vec::new(),
            with_columns: Arc::default(),
            required: Vec::new(),
        };
        plan.when = self.conditions(&from.when);
        for (name, node) in &file.product {
            let at = Located { value: format!("metadata.product.{}", name.value), span: name.span };
            self.rule(&mut plan, &at, node, None, true);
        }
        self.block(&mut plan, &file.common, None, true);
        self.block(&mut plan, &from.block, None, false);
        for (also, common) in
            file.common.also.iter().map(|a| (a, true)).chain(from.block.also.iter().map(|a| (a, false)))
        {
            let index = plan.alsos.len();
            if index >= ALSO_MAX {
                self.faults.add(from.name.span, &from.name.value, "more than 64 entries of `also`", None);
                break;
            }
            let tests = self.conditions(&also.when);
            plan.alsos.push(tests);
            self.block(&mut plan, &also.block, Some(index as u8), common);
        }
        plan.with_columns = (0..plan.targets.len() as u16)
            .filter(|i| {
                let target = &plan.targets[usize::from(*i)];
                target.column.is_some() || target.caption_column.is_some()
            })
            .collect();
        // A rule that is at fault fills nothing: saying so twice helps nobody.
        if self.faults.len() == before {
            check::requirements(&mut plan, &from.name, &mut self.faults);
        }
        if file.native {
            // What an event lacks is its own fault.
            self.faults.truncate(before);
        }
        Some(plan)
    }

    fn each(&mut self, from: &file::Class) -> Option<Each> {
        self.each = from.each.is_some();
        self.fields.clear();
        let each = from.each.as_ref()?;
        self.fields = each.fields.iter().map(|f| f.value.clone()).collect();
        let Some(of) = canonical_path(&each.of.value).filter(|p| p.ends_with("[]")) else {
            let hint = Some("end it with `[]`, for example `records[].flows[]`".into());
            self.faults.add(each.of.span, &each.of.value, "`each` needs the path of a list's elements", hint);
            return None;
        };
        Some(Each { of, split: each.split.clone() })
    }

    fn conditions(&mut self, conditions: &[Condition]) -> Vec<Test> {
        conditions.iter().filter_map(|c| self.condition(c)).collect()
    }

    fn condition(&mut self, condition: &Condition) -> Option<Test> {
        let selector = if let Some(known) = self.selector_of.get(&condition.expr.value) {
            *known
        } else {
            let expr = self.expr(&condition.expr, false)?;
            self.selectors.push(Selector { expr, values: FxHashMap::default(), globs: Vec::new() });
            let index = self.selectors.len() as u16 - 1;
            self.selector_of.insert(condition.expr.value.clone(), index);
            index
        };
        let mut test = Test { selector, absent: false, any: false, values: Vec::new() };
        for value in &condition.values {
            match value.value.as_deref() {
                None => test.absent = true,
                Some("*") => test.any = true,
                Some(word) => {
                    let known = &mut self.selectors[usize::from(selector)];
                    let next = known.values.len() as u16;
                    let id = *known.values.entry(word.into()).or_insert(next);
                    if id == next && word.contains('*') {
                        known.globs.push((Glob::new(word), id));
                    }
                    let id = usize::from(id);
                    if test.values.len() <= id / 64 {
                        test.values.resize(id / 64 + 1, 0);
                    }
                    test.values[id / 64] |= 1 << (id % 64);
                }
            }
        }
        Some(test)
    }

    fn block(&mut self, plan: &mut ClassPlan, block: &Block, also: Option<u8>, common: bool) {
        for (index, (target, node)) in block.set.iter().chain(&block.map).enumerate() {
            let constant = index < block.set.len();
            let optional = common.then_some(if also.is_some() { usize::MAX } else { index });
            if let Some(index) = optional {
                if !check::has_attribute(plan.class, &plan.profiles, &target.value) {
                    continue;
                }
                if let Some(used) = self.common_used.get_mut(index) {
                    *used = true;
                }
            }
            self.rule(plan, target, node, also, constant);
        }
    }

    /// Adds one `target: rule` line to the class.
    fn rule(
        &mut self,
        plan: &mut ClassPlan,
        at: &Located<String>,
        node: &Node,
        also: Option<u8>,
        constant: bool,
    ) {
        let Some(target) = self.target(plan, at) else { return };
        let rule = if constant {
            self.constant(&target, node).map(Rule::Constant)
        } else {
            self.mapped(&target, node)
        };
        let Some(rule) = rule else { return };
        let candidate = Candidate { also, rule };
        match plan.targets.iter_mut().find(|t| t.text == target.text) {
            // Later rules win, so they are tried first.
            Some(known) => known.candidates.insert(0, candidate),
            None => plan.targets.push(Target { candidates: vec![candidate], ..target }),
        }
    }

    fn target(&mut self, plan: &ClassPlan, at: &Located<String>) -> Option<Target> {
        let (leaf, segments) = match check::resolve(plan.class, &plan.profiles, &at.value) {
            Ok(found) => found,
            Err(fault) => {
                let hint = fault.hint().map(|name| format!("did you mean `{name}`?"));
                self.faults.inside(at, fault.offset, &fault.segment, fault.message, hint);
                return None;
            }
        };
        let text: Arc<str> = check::text(&segments).into();
        let column = |path: &str| COLUMNS.iter().position(|c| c.path == path).map(|i| i as u16);
        let stem = text.rsplit_once('.').map_or(String::new(), |(stem, _)| format!("{stem}."));
        let (column, caption_column) = match &leaf {
            TargetLeaf::Enum { id, caption } => {
                (column(&format!("{stem}{}", id.name)), column(&format!("{stem}{}", caption.name)))
            }
            _ => (column(&text), None),
        };
        Some(Target { text, segments, leaf, column, caption_column, candidates: Vec::new() })
    }

    fn constant(&mut self, target: &Target, node: &Node) -> Option<Constant> {
        match check::constant(&target.leaf, &node.value) {
            Ok(constant) => Some(constant),
            Err((message, hint)) => {
                self.faults.add(node.span, &node.value.shown(), message, hint);
                None
            }
        }
    }

    fn mapped(&mut self, target: &Target, node: &Node) -> Option<Rule> {
        let tree = matches!(target.leaf, TargetLeaf::Tree(_));
        match &node.value {
            Value::Text(text) => {
                let at = Located { value: text.clone(), span: node.span };
                self.expr(&at, tree).map(Rule::Expr)
            }
            Value::Table(_) => self.lookup(target, node),
            other => {
                let hint = Some("a constant belongs under `set`".into());
                self.faults.add(
                    node.span,
                    &other.shown(),
                    "a rule is `path [| function]` or `{ from, lookup }`",
                    hint,
                );
                None
            }
        }
    }

    fn lookup(&mut self, target: &Target, node: &Node) -> Option<Rule> {
        let (mut expr, mut rows, mut otherwise, mut absent) = (None, FxHashMap::default(), None, None);
        for (key, value) in table(node, "a rule", &mut self.faults).to_vec() {
            match (key.value.as_str(), &value.value) {
                ("from", Value::Text(text)) => {
                    expr = self.expr(&Located { value: text.clone(), span: value.span }, false);
                }
                ("lookup", Value::Text(name)) => {
                    if let Some(shared) = self.lookups.get(name.as_str()).copied() {
                        rows = self.rows(target, shared);
                    } else {
                        let hint = nearest(name, self.lookups.keys().copied())
                            .map(|n| format!("did you mean `{n}`?"));
                        self.faults.add(value.span, name, format!("no lookup `{name}`"), hint);
                    }
                }
                ("lookup", _) => rows = self.rows(target, &value),
                ("else", _) => otherwise = self.constant(target, &value),
                ("absent", _) => absent = self.constant(target, &value),
                _ => self.faults.unknown_key(&key, &["from", "lookup", "else", "absent"]),
            }
        }
        if expr.is_none() {
            self.faults.add(node.span, "", "a lookup needs `from`", None);
        }
        Some(Rule::Lookup { expr: expr?, table: rows, otherwise, absent })
    }

    fn rows(&mut self, target: &Target, node: &Node) -> FxHashMap<Box<str>, Constant> {
        let mut rows = FxHashMap::default();
        for (key, value) in table(node, "`lookup`", &mut self.faults).to_vec() {
            if let Some(constant) = self.constant(target, &value) {
                rows.insert(key.value.into_boxed_str(), constant);
            }
        }
        rows
    }

    fn expr(&mut self, at: &Located<String>, tree: bool) -> Option<Expr> {
        let parsed = match expr::parse(&at.value) {
            Ok(parsed) => parsed,
            Err(fault) => {
                self.faults.inside(at, fault.offset, &fault.text, fault.message, None);
                return None;
            }
        };
        let mut alternatives = Vec::new();
        for part in parsed {
            let mut functions = Vec::new();
            for (offset, name) in part.functions {
                if let Some(f) = function(&name) {
                    functions.push(f);
                } else {
                    let hint = nearest(&name, FUNCTIONS.iter().map(|f| f.name))
                        .map(|n| format!("did you mean `{n}`?"));
                    self.faults.inside(at, offset, &name, format!("no function `{name}`"), hint);
                }
            }
            let others = match &part.operand {
                expr::Operand::Path(path) if tree => self.others(path),
                _ => Vec::new(),
            };
            let operand = self.resolved(at, part.operand, tree)?;
            alternatives.push(Alternative { operand, functions });
            alternatives.extend(others);
        }
        Some(Expr { alternatives })
    }

    fn resolved(&mut self, at: &Located<String>, operand: expr::Operand, tree: bool) -> Option<Operand> {
        Some(match operand {
            expr::Operand::Literal(text) => Operand::Literal(text.into()),
            expr::Operand::Path(path) => self.operand(at, &path, tree)?,
            expr::Operand::Pick { key, equals, value } => Operand::Pick {
                key: self.slots.add(&key),
                equals: equals.into(),
                value: self.slots.add(&value),
            },
            expr::Operand::Join(parts) => {
                let parts: Option<Vec<_>> =
                    parts.into_iter().map(|part| self.resolved(at, part, false)).collect();
                Operand::Join(parts?)
            }
        })
    }

    fn operand(&mut self, at: &Located<String>, path: &str, tree: bool) -> Option<Operand> {
        if self.each {
            if path == "each" {
                return Some(Operand::Element);
            }
            if let Some(field) = path.strip_prefix("each.") {
                let found = self.fields.iter().position(|f| f == field);
                if found.is_none() {
                    let hint = nearest(field, self.fields.iter().map(String::as_str))
                        .map(|n| format!("did you mean `each.{n}`?"));
                    self.faults.add(at.span, &at.value, format!("`each` has no field `{field}`"), hint);
                }
                return found.map(|i| Operand::Field(i as u16));
            }
        }
        Some(if tree { Operand::Tree(path.into()) } else { Operand::Slot(self.slots.add(path)) })
    }
}

/// Where a class stands, for faults that concern it as a whole.
pub(super) fn class_span(class: &Located<String>) -> Span {
    class.span
}
