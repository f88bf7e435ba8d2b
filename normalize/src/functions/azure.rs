//! What Azure's own notations say: resource ids, operation names, flow tuples, JSON kept as text.

use std::borrow::Cow;

use serde_json::Value;

use super::{Outcome, part, text};
use crate::value::Val;

/// Deepest nesting of JSON kept as text that is looked into.
const DEPTH_MAX: usize = 8;

/// The segment of a resource id that follows `key`. Ids arrive in several spellings and Azure
/// compares them without case, so it is given in lower case.
pub(super) fn id_part<'e>(value: Val<'e>, key: &str) -> Outcome<'e> {
    text(value, |id| {
        let mut segments = id.split('/').skip_while(|s| !s.eq_ignore_ascii_case(key));
        segments.nth(1).map(|s| Cow::Owned(s.to_ascii_lowercase()))
    })
}

/// `provider/type/subtype` of a resource id, in lower case; of nested providers the last.
pub(super) fn resource_type(value: Val<'_>) -> Outcome<'_> {
    text(value, |id| {
        let id = id.to_ascii_lowercase();
        let (_, rest) = id.rsplit_once("/providers/")?;
        let mut segments = rest.split('/');
        let mut out = segments.next()?.to_owned();
        for kind in segments.step_by(2).filter(|s| !s.is_empty()) {
            out.push('/');
            out.push_str(kind);
        }
        Some(Cow::Owned(out))
    })
}

/// The verb of an operation name: its last part, or the part before `/action`.
pub(super) fn verb(value: Val<'_>) -> Outcome<'_> {
    text(value, |name| {
        let tail = "/action";
        let cut = name.len().saturating_sub(tail.len());
        let end =
            if name.get(cut..).is_some_and(|t| t.eq_ignore_ascii_case(tail)) { cut } else { name.len() };
        let start = name[..end].rfind('/').map_or(0, |at| at + 1);
        Some(part(name, start, end))
    })
}

/// The sum of a flow tuple's counters at `columns`: both ways of the flow.
pub(super) fn tuple_sum<'e>(value: &Val<'_>, columns: [usize; 2]) -> Outcome<'e> {
    let tuple = value.text();
    let counters: Vec<i64> = columns.iter().filter_map(|n| tuple.split(',').nth(*n)?.parse().ok()).collect();
    Ok((!counters.is_empty())
        .then(|| Val::Int(counters.iter().fold(0, |sum: i64, n| sum.saturating_add(*n)))))
}

/// The text or number of the first member called `name` (without case) of JSON kept as text.
pub(super) fn json_member<'e>(value: &Val<'_>, name: &str) -> Outcome<'e> {
    let found = serde_json::from_str(&value.text()).ok().and_then(|json| member(&json, name, DEPTH_MAX));
    Ok(found.filter(|t| !t.is_empty()).map(|t| Val::Text(Cow::Owned(t))))
}

fn member(json: &Value, name: &str, depth: usize) -> Option<String> {
    let Value::Object(members) = json else { return None };
    let own =
        members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(n) => Some(n.to_string()),
            _ => None,
        });
    own.or_else(|| members.values().find_map(|below| member(below, name, depth.checked_sub(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_spelling() {
        let id = "/SUBSCRIPTIONS/S-1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.WEB/SITES/A/CONFIG/B";
        let given = |outcome: Outcome<'_>| outcome.ok().flatten().map(|v| v.text().into_owned());
        let val = |t: &str| Val::Text(Cow::Owned(t.to_owned()));
        assert_eq!(given(id_part(val(id), "resourceGroups")).as_deref(), Some("rg"));
        assert_eq!(given(resource_type(val(id))).as_deref(), Some("microsoft.web/sites/config"));
        assert_eq!(given(id_part(val("/tenants/t"), "subscriptions")), None);
        assert_eq!(given(id_part(val("/subscriptions"), "subscriptions")), None);
        assert_eq!(given(resource_type(val("/subscriptions/s"))), None);
        assert_eq!(given(resource_type(val("/providers/Microsoft.Web"))).as_deref(), Some("microsoft.web"));
        assert_eq!(given(verb(val("MICROSOFT.WEB/SITES/WRITE"))).as_deref(), Some("WRITE"));
    }

    #[test]
    fn tuples_without_counters_and_json_that_is_none() {
        let none = Ok(None);
        assert_eq!(tuple_sum(&Val::Text("1,a,b,1,2,T,I,D,B,,,,".into()), [10, 12]), none);
        assert_eq!(tuple_sum(&Val::Text("1,a,b,1,2,T,I,D".into()), [10, 12]), none);
        assert_eq!(json_member(&Val::Text("no JSON".into()), "a"), none);
        assert_eq!(json_member(&Val::Text("{\"b\":{\"A\":7}}".into()), "a"), Ok(Some(Val::Text("7".into()))));
    }
}
