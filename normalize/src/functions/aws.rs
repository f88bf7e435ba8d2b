//! What AWS's own notations say: zones, severities, Kubernetes identities.

use std::borrow::Cow;

use super::{Outcome, part, text};
use crate::value::Val;

/// The region of an availability, local or wavelength zone: up to its number.
pub(super) fn region(value: Val<'_>) -> Outcome<'_> {
    text(value, |zone| {
        let digit = zone.find(|c: char| c.is_ascii_digit())?;
        let end = digit + zone[digit..].bytes().take_while(u8::is_ascii_digit).count();
        Some(part(zone, 0, end))
    })
}

/// The label of a host name that is a region: `s3.eu-west-1.amazonaws.com`, `s3-eu-west-1.…`.
pub(super) fn host_region(value: Val<'_>) -> Outcome<'_> {
    text(value, |host| {
        let (start, end) = region_label(&host)?;
        Some(part(host, start, end))
    })
}

fn region_label(host: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    host.contains(".amazonaws.com").then_some(())?;
    host.split('.').find_map(|label| {
        let (start, name) = label.strip_prefix("s3-").map_or((at, label), |name| (at + 3, name));
        at += label.len() + 1;
        is_region(name).then_some((start, start + name.len()))
    })
}

/// Two letters, words, a number: `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let mut words = text.split('-');
    let area = words.next().is_some_and(|w| w.len() == 2 && w.bytes().all(|b| b.is_ascii_lowercase()));
    let number = words.next_back().is_some_and(|w| w.len() == 1 && w.bytes().all(|b| b.is_ascii_digit()));
    let names = words.clone().count();
    let lower = words.all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()));
    area && number && lower && (1..=2).contains(&names)
}

/// The severity bands of `GuardDuty`.
pub(super) fn guardduty_severity(value: &Val<'_>) -> Outcome<'static> {
    let Ok(score) = value.text().parse::<f64>() else { return Err("not a number") };
    let caption = match score {
        x if x >= 9.0 => "Critical",
        x if x >= 7.0 => "High",
        x if x >= 4.0 => "Medium",
        x if x >= 1.0 => "Low",
        _ => "Informational",
    };
    Ok(Some(Val::Text(Cow::Borrowed(caption))))
}

/// What a Kubernetes user name says of its owner.
pub(super) fn kubernetes_user_type(value: &Val<'_>) -> Outcome<'static> {
    let caption = match value.text().as_ref() {
        name if name.starts_with("system:serviceaccount:") => "Service",
        name if name.starts_with("system:") || name.starts_with("eks:") || name.starts_with("aks:") => {
            "System"
        }
        _ => "User",
    };
    Ok(Some(Val::Text(Cow::Borrowed(caption))))
}
