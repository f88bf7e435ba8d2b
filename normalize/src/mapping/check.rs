//! What the OCSF schema says of targets and constants, and what a class must have.

use linchpin_config::{Located, nearest};

use super::compile::class_span;
use super::needs;
use super::node::{Faults, Value};
use crate::plan::{ClassPlan, Constant, Rule, Segment, TargetLeaf};
use crate::schema::{Attribute, Attributes, Class, Requirement, Type, schema};
use crate::value::Val;

/// A target path that the schema refuses.
pub(super) struct TargetFault {
    pub offset: usize,
    pub segment: String,
    pub message: String,
    pub hint: Hint,
}

/// What to write instead; the nearest name is only looked for when somebody reads it.
pub(super) enum Hint {
    None,
    Text(String),
    Among(&'static Attributes),
}

impl TargetFault {
    /// The hint in words.
    pub(super) fn hint(&self) -> Option<String> {
        match &self.hint {
            Hint::None => None,
            Hint::Text(text) => Some(text.clone()),
            Hint::Among(attributes) => {
                nearest(&self.segment, attributes.iter().map(|a| a.name)).map(str::to_owned)
            }
        }
    }
}

/// Whether a class, with these profiles, has the target at all.
pub(super) fn has_attribute(class: &'static Class, profiles: &[&str], path: &str) -> bool {
    resolve(class, profiles, path).is_ok()
}

/// Finds the attribute that a target path ends in.
pub(super) fn resolve(
    class: &'static Class,
    profiles: &[&str],
    path: &str,
) -> Result<(TargetLeaf, Vec<Segment>), TargetFault> {
    let mut attributes: &'static Attributes = &class.attributes;
    let mut owner = class.name;
    let mut segments: Vec<Segment> = Vec::new();
    let mut offset = 0;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let (name, array) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        let fail = |message, hint| Err(TargetFault { offset, segment: name.to_owned(), message, hint });
        let last = parts.peek().is_none();
        let pair = if last { attributes.enum_target(name) } else { None };
        let Some(attribute) = pair.map(|pair| pair.id).or_else(|| attributes.get(name)) else {
            return fail(format!("`{owner}` has no attribute `{name}`"), Hint::Among(attributes));
        };
        if let Some(profile) = attribute.profile
            && segments.is_empty()
            && !profiles.contains(&profile)
        {
            let what = "belongs to the profile";
            return fail(format!("`{name}` {what} `{profile}`, which this class does not list"), Hint::None);
        }
        if let Some(pair) = pair {
            segments.push(Segment { name: pair.id.name, array: false });
            return Ok((TargetLeaf::Enum { id: pair.id, caption: pair.caption }, segments));
        }
        if attribute.is_array != array {
            let hint = if attribute.is_array { format!("{name}[]") } else { name.to_owned() };
            let message = if attribute.is_array { "is an array" } else { "is not an array" };
            return fail(format!("`{name}` {message}"), Hint::Text(hint));
        }
        segments.push(Segment { name: attribute.name, array });
        let object = schema().object_of(attribute);
        let free = object.is_some_and(crate::schema::Object::is_free_form) || attribute.ty == Type::Json;
        match (last, object) {
            (true, _) if free => return Ok((TargetLeaf::Tree(attribute), segments)),
            (true, Some(_)) => {
                return fail(format!("`{name}` is an object"), Hint::Text(format!("{name}.…")));
            }
            (true, None) => return Ok((TargetLeaf::Value(attribute), segments)),
            (false, Some(object)) if !free => {
                attributes = &object.attributes;
                owner = object.name;
            }
            (false, _) => return fail(format!("`{name}` has no attributes of its own"), Hint::None),
        }
        offset += part.len() + 1;
    }
    Err(TargetFault {
        offset: 0,
        segment: path.to_owned(),
        message: "an empty target".into(),
        hint: Hint::None,
    })
}

/// The path of segments, as linchpin columns name it.
pub(super) fn text(segments: &[Segment]) -> String {
    let parts: Vec<String> =
        segments.iter().map(|s| if s.array { format!("{}[]", s.name) } else { s.name.to_owned() }).collect();
    parts.join(".")
}

type ConstantFault = (String, Option<String>);

/// A constant in the type of its target.
pub(super) fn constant(leaf: &TargetLeaf, value: &Value) -> Result<Constant, ConstantFault> {
    match leaf {
        TargetLeaf::Enum { id, .. } => enumerated(id, value),
        TargetLeaf::Value(attribute) | TargetLeaf::Tree(attribute) => {
            let text = value.shown();
            let given = match value {
                Value::Bool(b) => Val::Bool(*b),
                Value::Int(n) => Val::Int(*n),
                Value::Text(text) => Val::Text(text.into()),
                Value::Float(_) => Val::Number(&text),
                _ => return Err(("a constant is a single value".into(), None)),
            };
            if attribute.ty == Type::Json {
                return Ok(Constant::Text(text.as_str().into()));
            }
            match given.convert(attribute) {
                Ok(Val::Int(n)) => in_enumeration(attribute, n),
                Ok(Val::Time(micros)) => Ok(Constant::Int(micros / 1000)),
                Ok(Val::Bool(b)) => Ok(Constant::Bool(b)),
                Ok(other) => Ok(Constant::Text(other.text().as_ref().into())),
                Err(fault) => {
                    Err((format!("`{text}` is {fault}: `{}` is a {}", attribute.name, attribute.ty), None))
                }
            }
        }
    }
}

fn in_enumeration(attribute: &Attribute, n: i64) -> Result<Constant, ConstantFault> {
    match &attribute.enumeration {
        Some(values) if values.get_by_value(n).is_none() => {
            Err((format!("`{n}` is not a value of `{}`", attribute.name), None))
        }
        _ => Ok(Constant::Int(n)),
    }
}

fn enumerated(id: &'static Attribute, value: &Value) -> Result<Constant, ConstantFault> {
    let Some(enumeration) = &id.enumeration else {
        return Err((format!("`{}` has no captions", id.name), None));
    };
    match value {
        Value::Int(n) => match enumeration.get_by_value(*n) {
            Some(caption) => Ok(Constant::Enum(*n, caption.into())),
            None => Err((format!("`{n}` is not a value of `{}`", id.name), None)),
        },
        other => {
            let text = other.shown();
            if let Some(n) = enumeration.get_by_caption(&text) {
                return Ok(Constant::Enum(n, text.into()));
            }
            let hint =
                nearest(&text, enumeration.captions()).map(|c| format!("did you mean `{c}`?")).or_else(
                    || Some(format!("captions: {}", enumeration.captions().collect::<Vec<_>>().join(", "))),
                );
            Err((format!("`{text}` is not a caption of `{}`", id.name), hint))
        }
    }
}

/// What the engine itself fills in every event.
const DERIVED: &[&str] = &["class_uid", "category_uid", "type_uid", "metadata", "time"];

/// Reports required attributes that no rule can fill, and notes which targets must not all fail.
pub(super) fn requirements(plan: &mut ClassPlan, class: &Located<String>, faults: &mut Faults<'_>) {
    let needed = |a: &&Attribute| {
        a.requirement == Requirement::Required
            && a.profile.is_none_or(|p| plan.profiles.contains(&p))
            && !DERIVED.contains(&a.name)
    };
    let mut groups: Vec<(&'static str, Vec<&'static str>)> =
        plan.class.attributes.iter().filter(needed).map(|a| (a.name, vec![a.name])).collect();
    if !plan.class.at_least_one.is_empty() {
        groups.push((plan.class.at_least_one[0], plan.class.at_least_one.clone()));
    }
    for (name, any) in groups {
        let members: Vec<u16> = (0..plan.targets.len() as u16)
            .filter(|i| any.contains(&plan.targets[usize::from(*i)].segments[0].name))
            .collect();
        if members.is_empty() {
            let what = if any.len() == 1 {
                format!("attribute `{name}`")
            } else {
                format!("one of `{}`", any.join("`, `"))
            };
            let message = format!("`{}` needs {what}, and no rule fills it", plan.class.name);
            faults.add(class_span(class), &class.value, message, None);
        }
        // A profile may be left out of an event that lacks what it requires.
        if plan.class.get(name).is_some_and(|a| a.profile.is_some()) {
            continue;
        }
        let constant = |at: &u16| {
            let mut candidates = plan.targets[usize::from(*at)].candidates.iter();
            candidates.any(|c| c.also.is_none() && matches!(c.rule, Rule::Constant(_)))
        };
        // Without a way to have it, no event has it.
        let groups = needs::any_of(plan, &plan.class.attributes, &any, &mut Vec::new());
        let mut groups = groups.unwrap_or_else(|| vec![needs::Group::new()]);
        groups.retain(|group| !group.iter().any(constant));
        plan.required.extend(groups.into_iter().map(|group| (name, group)));
    }
    if !plan.targets.iter().any(|t| &*t.text == "time") {
        let hint = Some("for example `time: eventTime | rfc3339`".into());
        faults.add(class_span(class), &class.value, "no rule fills `time`", hint);
    }
    nested(plan, class, faults);
}

/// Required attributes of the objects that the class's targets touch.
fn nested(plan: &ClassPlan, class: &Located<String>, faults: &mut Faults<'_>) {
    let mut seen: Vec<String> = Vec::new();
    for target in &plan.targets {
        let mut attributes = &plan.class.attributes;
        let mut prefix = String::new();
        for segment in &target.segments[..target.segments.len() - 1] {
            prefix +=
                if segment.array { format!("{}[].", segment.name) } else { format!("{}.", segment.name) }
                    .as_str();
            let Some(object) = attributes.get(segment.name).and_then(|a| schema().object_of(a)) else {
                break;
            };
            attributes = &object.attributes;
            if seen.contains(&prefix) || prefix == "metadata." {
                continue;
            }
            seen.push(prefix.clone());
            for needed in
                attributes.iter().filter(|a| a.requirement == Requirement::Required && a.profile.is_none())
            {
                let path = format!("{prefix}{}", needed.name);
                let filled = plan.targets.iter().any(|t| {
                    t.text
                        .strip_prefix(path.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                });
                if !filled {
                    let message = format!(
                        "`{}` is required where `{}` is set, and no rule fills it",
                        path,
                        prefix.trim_end_matches('.')
                    );
                    faults.add(class_span(class), &class.value, message, None);
                }
            }
        }
    }
}
