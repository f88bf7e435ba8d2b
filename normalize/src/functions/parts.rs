//! Parts of file paths, numbers in other notations, lists of hashes.

use std::borrow::Cow;

use super::{Outcome, Val, part, text};

/// File of a path in either notation.
pub(super) fn file_name(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let start = t.rfind(['\\', '/']).map_or(0, |n| n + 1);
        let end = t.len();
        (start < end).then(|| part(t, start, end))
    })
}

/// Folder of a path in either notation.
pub(super) fn folder(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| t.rfind(['\\', '/']).filter(|end| *end > 0).map(|end| part(t, 0, end)))
}

/// A whole number in decimal or, after `0x`, hexadecimal notation.
pub(super) fn hex(value: Val<'_>) -> Outcome<'_> {
    let number = value.text();
    let number = match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => number.trim().parse().ok(),
    };
    Ok(number.map(Val::Int))
}

/// Seconds, with or without a final `s`, as whole milliseconds.
pub(super) fn seconds_to_millis(value: Val<'_>) -> Outcome<'_> {
    let seconds: Option<f64> = value.text().trim().trim_end_matches('s').parse().ok();
    let millis = seconds.map(|s| (s * 1000.0).round()).filter(|ms| ms.is_finite() && ms.abs() < 9e15);
    // It was rounded, and it is in range.
    #[allow(clippy::cast_possible_truncation, reason = "checked above")]
    Ok(millis.map(|ms| Val::Int(ms as i64)))
}

/// Whole numbers with `+` between them, such as the counters of both ways of a flow, added.
pub(super) fn sum(value: Val<'_>) -> Outcome<'_> {
    let text = value.text();
    let mut numbers = text.split('+').map(|number| number.trim().parse::<i64>().ok());
    Ok(numbers.try_fold(0_i64, |sum, number| sum.checked_add(number?)).map(Val::Int))
}

/// A span of time as clocks show it, `1:02:03` or `1h:02m:03s`, as whole milliseconds.
pub(super) fn clock_millis(value: Val<'_>) -> Outcome<'_> {
    let clock = value.text();
    let seconds = clock.trim().split(':').try_fold(0_i64, |sum, part| {
        let number: i64 = part.trim().trim_end_matches(['h', 'm', 's']).parse().ok().filter(|n| *n >= 0)?;
        sum.checked_mul(60)?.checked_add(number)
    });
    Ok(seconds.and_then(|s| s.checked_mul(1000)).filter(|_| clock.contains(':')).map(Val::Int))
}

/// OCSF captions of hash algorithms by the names that logs use, the best first.
const ALGORITHMS: &[(&str, &str)] =
    &[("SHA512", "SHA-512"), ("SHA256", "SHA-256"), ("SHA1", "SHA-1"), ("MD5", "MD5"), ("IMPHASH", "Other")];

/// The best of `SHA1=…,MD5=…`: its caption and where the hash stands.
fn best_hash(hashes: &str) -> Option<(&'static str, usize, usize)> {
    ALGORITHMS.iter().find_map(|(name, caption)| {
        let mut at = 0;
        hashes.split(',').find_map(|entry| {
            let start = at;
            at += entry.len() + 1;
            let (key, hash) = entry.split_once('=')?;
            let found = key.trim().eq_ignore_ascii_case(name) && !hash.bytes().all(|b| b == b'0');
            found.then_some((*caption, start + key.len() + 1, start + entry.len()))
        })
    })
}

/// The strongest hash of a list `SHA1=…,MD5=…`.
pub(super) fn hash_value(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| best_hash(&t).map(|(_, start, end)| part(t, start, end)))
}

/// The algorithm of the strongest hash of such a list.
pub(super) fn hash_algorithm(value: Val<'_>) -> Outcome<'_> {
    Ok(best_hash(&value.text()).map(|(caption, _, _)| Val::Text(Cow::Borrowed(caption))))
}

/// Kind, name and namespace of a Kubernetes resource such as
/// `core/v1/namespaces/shop/pods/web/exec`, as byte offsets.
struct Kubernetes {
    namespace: Option<(usize, usize)>,
    kind: (usize, usize),
    name: Option<(usize, usize)>,
    sub: Option<(usize, usize)>,
}

fn kubernetes(resource: &str) -> Option<Kubernetes> {
    let mut at = 0;
    let mut segments = Vec::new();
    for segment in resource.split('/') {
        segments.push((at, at + segment.len()));
        at += segment.len() + 1;
    }
    // The API group and its version come first.
    let rest = segments.get(2..)?;
    let is = |n: usize, word: &str| rest.get(n).is_some_and(|(a, b)| &resource[*a..*b] == word);
    let (namespace, rest) = match rest {
        [_, namespace, rest @ ..] if is(0, "namespaces") && !rest.is_empty() => (Some(*namespace), rest),
        _ => (None, rest),
    };
    Some(Kubernetes {
        namespace,
        kind: *rest.first()?,
        name: rest.get(1).copied(),
        sub: rest.get(2).map(|(start, _)| (*start, resource.len())),
    })
}

/// Kind of a Kubernetes resource, with the subresource.
pub(super) fn kubernetes_kind(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let found = kubernetes(&t)?;
        let (start, end) = found.kind;
        match found.sub {
            Some((a, b)) => Some(Cow::Owned(format!("{}/{}", &t[start..end], &t[a..b]))),
            None => Some(part(t, start, end)),
        }
    })
}

/// Name of a Kubernetes resource.
pub(super) fn kubernetes_name(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let (start, end) = kubernetes(&t)?.name?;
        Some(part(t, start, end))
    })
}

/// Namespace of a Kubernetes resource.
pub(super) fn kubernetes_namespace(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let (start, end) = kubernetes(&t)?.namespace?;
        Some(part(t, start, end))
    })
}

/// Success or Failure, from an audit event's type or from its keywords, whose bits 53 and 52 say so.
pub(super) fn windows_outcome(value: Val<'_>) -> Outcome<'_> {
    let word = value.text();
    let bits = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse::<i64>().ok().map(i64::cast_unsigned),
    };
    let caption = match (bits, word.to_ascii_lowercase().as_str()) {
        (Some(bits), _) if bits >> 52 & 3 == 1 => "Failure",
        (Some(bits), _) if bits >> 52 & 3 == 2 => "Success",
        (None, "audit_failure" | "audit failure" | "failure") => "Failure",
        (None, "audit_success" | "audit success" | "success") => "Success",
        _ => return Ok(None),
    };
    Ok(Some(Val::Text(Cow::Borrowed(caption))))
}

/// Seconds since 1970 as a moment, if they lie between 1970 and 2100: SMB carries what a client made up.
pub(super) fn file_time(value: Val<'_>) -> Outcome<'_> {
    const LATEST_SECONDS: f64 = 4_102_444_800.0;
    let seconds: Option<f64> = value.text().trim().parse().ok();
    if seconds.is_some_and(|s| s > 0.0 && s < LATEST_SECONDS) {
        super::unix(&value, 1_000_000)
    } else {
        Ok(None)
    }
}

/// The value of the first `CN=` of a distinguished name.
pub(super) fn common_name(value: Val<'_>) -> Outcome<'_> {
    text(value, |t| {
        let Some(start) = t.get(..3).filter(|head| head.eq_ignore_ascii_case("cn=")).map(|_| 3) else {
            return Some(t);
        };
        let bytes = t.as_bytes();
        let end = (start..t.len()).find(|n| bytes[*n] == b',' && bytes[n - 1] != b'\\').unwrap_or(t.len());
        Some(part(t, start, end))
    })
}
