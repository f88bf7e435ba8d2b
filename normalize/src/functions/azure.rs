//! What Azure's own notations say: resource ids, operation names, flow tuples, JSON kept as text.

use std::borrow::Cow;

use serde_json::Value;

use super::{Outcome, part, text};
use crate::value::{Val, rfc3339};

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

/// `8/22/2022 6:11:52 PM`, with or without a zone: how some Azure services write the time.
pub(super) fn us_datetime(value: Val<'_>) -> Outcome<'_> {
    let given = value.text();
    let mut words = given.split_ascii_whitespace();
    let (date, clock, half, zone) = (words.next(), words.next(), words.next(), words.next());
    let moment = (|| {
        let mut date = date?.split('/').map(|n| n.parse::<u16>().ok());
        let (month, day, year) = (date.next()??, date.next()??, date.next()??);
        let mut clock = clock?.splitn(3, ':');
        let (hour, minute, second) = (clock.next()?.parse::<u8>().ok()?, clock.next()?, clock.next()?);
        let hour = match half? {
            "AM" => hour % 12,
            "PM" => hour % 12 + 12,
            _ => return None,
        };
        rfc3339(&format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:0>2}:{second:0>2}{}",
            zone.unwrap_or("Z")
        ))
    })();
    moment.map(|micros| Some(Val::Time(micros))).ok_or("not a moment in US notation")
}

/// The text of a JSON string kept as text, or of the first one in a list; other text as it is.
pub(super) fn json_text(value: Val<'_>) -> Outcome<'_> {
    text(value, |given| match serde_json::from_str(&given) {
        Ok(Value::String(inner)) => Some(Cow::Owned(inner)),
        Ok(Value::Array(list)) => list.into_iter().find_map(|v| match v {
            Value::String(inner) => Some(Cow::Owned(inner)),
            _ => None,
        }),
        _ => Some(given),
    })
}

/// What follows the first word of a name in camel case: the verb of Key Vault's operations.
pub(super) fn camel_tail(value: Val<'_>) -> Outcome<'_> {
    text(value, |name| {
        let start = 1 + name.get(1..)?.find(|c: char| c.is_ascii_uppercase())?;
        let end = name.len();
        Some(part(name, start, end))
    })
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
    fn moments_in_us_notation() {
        let micros = |t: &str| us_datetime(Val::Text(t.to_owned().into())).ok().flatten();
        assert_eq!(micros("8/22/2022 6:11:52 PM"), Some(Val::Time(1_661_191_912_000_000)));
        assert_eq!(micros("11/3/2020 12:06:42 AM +00:00"), Some(Val::Time(1_604_362_002_000_000)));
        for none in ["8/22/2022", "2022-08-22T18:11:52Z", "13/13/2022 6:11:52 PM", "8/22/2022 6:11:52 XM"] {
            assert_eq!(micros(none), None, "{none}");
        }
    }

    #[test]
    fn json_that_is_none() {
        let none = Ok(None);
        assert_eq!(json_member(&Val::Text("no JSON".into()), "a"), none);
        assert_eq!(json_member(&Val::Text("{\"b\":{\"A\":7}}".into()), "a"), Ok(Some(Val::Text("7".into()))));
    }
}
