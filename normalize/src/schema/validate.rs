//! Checks a finished event against the schema.

use std::{borrow::Cow, net::IpAddr};

use serde_json::{Map, Value};

use super::{Attribute, Attributes, Base, Requirement, Schema, Type, schema};

/// One past the latest time that is taken for epoch milliseconds: the year 2100.
const TIME_END_MS: i64 = 4_102_444_800_000;
/// The enum value for "the source's own word": its caption is free.
const OTHER: i64 = 99;

/// One way in which an event breaks the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule, for example `missing required`.
    pub kind: Cow<'static, str>,
    /// Where, from the class's name on, for example `authentication.user`; then, if it helps,
    /// `=` and the value or `: ` and the attributes concerned.
    pub path: String,
}

/// Every way in which `event`, one OCSF event as JSON, breaks the schema; empty if it is valid.
pub fn validate(event: &Value) -> Vec<Violation> {
    validate_as(schema(), event)
}

/// As [`validate`], against another version of the schema.
pub fn validate_as(schema: &'static Schema, event: &Value) -> Vec<Violation> {
    let mut check = Check { schema, profiles: profiles(event), found: Vec::new() };
    check.event(event);
    check.found
}

/// The profiles that the event says it follows.
fn profiles(event: &Value) -> Vec<&str> {
    event["metadata"]["profiles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

struct Check<'e> {
    schema: &'static Schema,
    profiles: Vec<&'e str>,
    found: Vec<Violation>,
}

impl Check<'_> {
    fn fail(&mut self, kind: impl Into<Cow<'static, str>>, path: impl Into<String>) {
        self.found.push(Violation { kind: kind.into(), path: path.into() });
    }

    fn event(&mut self, event: &Value) {
        let uid = event["class_uid"].as_u64().and_then(|uid| u32::try_from(uid).ok());
        let class = uid.and_then(|uid| self.schema.class_by_uid(uid));
        let (Some(record), Some(class)) = (event.as_object(), class) else {
            return self.fail("unknown class_uid", event["class_uid"].to_string());
        };
        if class.deprecated {
            self.fail("deprecated class", class.name);
        }
        if let Some(activity) = event["activity_id"].as_i64()
            && event["type_uid"].as_i64() != activity.checked_add(class.type_uid(0))
        {
            self.fail("type_uid is not class_uid*100+activity_id", class.name);
        }
        if event["category_uid"].as_u64() != Some(u64::from(class.category_uid)) {
            self.fail("wrong category_uid", class.name);
        }
        self.record(record, &class.attributes, class.name, true);
        self.constraints(record, &class.at_least_one, &class.just_one, class.name);
    }

    fn record(&mut self, record: &Map<String, Value>, attributes: &Attributes, path: &str, top: bool) {
        for (key, value) in record {
            let path_here = format!("{path}.{key}");
            let Some(attribute) = attributes.get(key) else {
                self.fail("unknown attribute", path_here);
                continue;
            };
            // Objects are shared by classes of many profiles: below the top level only the
            // companions of timestamps are strict.
            if let Some(profile) = attribute.profile
                && (top || attribute.ty == Type::Datetime)
                && !self.profiles.contains(&profile)
            {
                let kind = format!("attribute of profile {profile} without metadata.profiles");
                self.fail(kind, path_here.as_str());
            }
            self.value(value, attribute, &path_here);
            self.caption(record, value, attribute, path);
        }
        for attribute in attributes.iter() {
            if attribute.requirement == Requirement::Required
                && !record.contains_key(attribute.name)
                && attribute.profile.is_none_or(|profile| self.profiles.contains(&profile))
            {
                self.fail("missing required", format!("{path}.{}", attribute.name));
            }
        }
    }

    fn constraints(&mut self, record: &Map<String, Value>, at_least: &[&str], just: &[&str], path: &str) {
        let present = |names: &[&str]| names.iter().filter(|name| holds(record, name)).count();
        if !at_least.is_empty() && present(at_least) == 0 {
            self.fail("at_least_one not met", format!("{path}: {}", at_least.join(", ")));
        }
        if !just.is_empty() && present(just) != 1 {
            self.fail("just_one not met", format!("{path}: {}", just.join(", ")));
        }
    }

    /// The caption beside an enum's number must be the schema's.
    fn caption(&mut self, record: &Map<String, Value>, value: &Value, id: &Attribute, path: &str) {
        let Some(number) = value.as_i64().filter(|&number| number != OTHER) else { return };
        let known = id.enumeration.as_ref().and_then(|known| known.get_by_value(number));
        if let Some(sibling) = id.sibling
            && let Some(caption) = record.get(sibling).and_then(Value::as_str)
            && known.is_some_and(|known| !known.is_empty() && known != caption)
        {
            let path = format!("{path}.{sibling}={caption:?} for {number}");
            self.fail("caption differs from the enum's", path);
        }
    }

    fn value(&mut self, value: &Value, attribute: &Attribute, path: &str) {
        if !attribute.is_array {
            return self.scalar(value, attribute, path);
        }
        let Some(items) = value.as_array() else { return self.fail("not an array", path) };
        let path = format!("{path}[]");
        for item in items {
            self.scalar(item, attribute, &path);
        }
    }

    fn scalar(&mut self, value: &Value, attribute: &Attribute, path: &str) {
        match attribute.ty.base() {
            _ if value.is_null() => self.fail("null value", path),
            Base::Boolean if !value.is_boolean() => self.fail("not a boolean", path),
            Base::Float if !value.is_number() => self.fail("not a number", path),
            Base::Json | Base::Boolean | Base::Float => {}
            Base::Integer => self.integer(value, attribute, path),
            Base::String => self.string(value, attribute, path),
            Base::Object => self.object(value, attribute, path),
        }
    }

    fn integer(&mut self, value: &Value, attribute: &Attribute, path: &str) {
        if !(value.is_i64() || value.is_u64()) {
            return self.fail("not an integer", path);
        }
        // A number beyond i64 is in no enum and no range.
        let number = value.as_i64().unwrap_or(i64::MAX);
        let kind = match (&attribute.enumeration, attribute.ty) {
            (Some(known), _) if known.get_by_value(number).is_none() => "value outside the enum",
            (_, Type::Port) if !(0..=65_535).contains(&number) => "port out of range",
            (_, Type::Timestamp) if !(1..TIME_END_MS).contains(&number) => {
                "timestamp is not plausible epoch milliseconds"
            }
            _ => return,
        };
        self.fail(kind, format!("{path}={value}"));
    }

    fn string(&mut self, value: &Value, attribute: &Attribute, path: &str) {
        let Some(text) = value.as_str() else { return self.fail("not a string", path) };
        if attribute.ty == Type::Ip && !is_ip(text) {
            let shown: String = text.chars().take(40).collect();
            self.fail("not an IP address", format!("{path}={shown}"));
        }
    }

    fn object(&mut self, value: &Value, attribute: &Attribute, path: &str) {
        let Some(record) = value.as_object() else { return self.fail("not an object", path) };
        if let Some(object) = self.schema.object_of(attribute).filter(|object| !object.is_free_form()) {
            self.record(record, &object.attributes, path, false);
            self.constraints(record, &object.at_least_one, &object.just_one, path);
        }
    }
}

/// Whether the record has the attribute; a dotted name leads into nested records.
fn holds(record: &Map<String, Value>, name: &str) -> bool {
    match name.split_once('.') {
        None => record.contains_key(name),
        Some((first, rest)) => {
            record.get(first).and_then(Value::as_object).is_some_and(|nested| holds(nested, rest))
        }
    }
}

/// An IPv4 or IPv6 address; the latter may have a zone (`fe80::1%eth0`).
fn is_ip(text: &str) -> bool {
    match text.split_once('%') {
        None => text.parse::<IpAddr>().is_ok(),
        Some((address, zone)) => {
            address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6())
                && !zone.is_empty()
                && !zone.contains('%')
        }
    }
}
