//! Guard rails: what a policy says that is allowed, but hardly meant.

use std::{collections::BTreeSet, time::Duration};

use linchpin_config::DurationText;

use super::RetentionClass;
use crate::{
    prices::{Book, Provider},
    tiers,
};

/// Something that is hardly meant, in one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Index of the class.
    pub class: usize,
    /// What.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

/// Looks at the classes for the providers that the archives are with. `lag` is the name of the output
/// that may be late longest, and how long.
pub fn warnings(
    classes: &[RetentionClass],
    providers: &BTreeSet<Provider>,
    lag: Option<(&str, Duration)>,
    book: &Book,
) -> Vec<Warning> {
    let mut found = Vec::new();
    for (n, class) in classes.iter().enumerate() {
        for provider in providers {
            let way = tiers::way(&class.tiers, *provider);
            for (at, (from, word)) in way.iter().enumerate().skip(1) {
                let to = way.get(at + 1).map_or(class.expire, |(next, _)| *next);
                let mut warn = |message, hint| found.push(Warning { class: n, message, hint });
                if let Some((message, hint)) = minimum(class, book, *provider, word, to.saturating_sub(*from))
                {
                    warn(message, hint);
                }
                if at + 1 < way.len() && tiers::needs_restore(*provider, word) {
                    warn(
                        format!("class `{}` moves on from `{word}`, which cannot be read without a restore", class.name),
                        "let the archive class be the last one, or leave the move to a bucket rule of `linchpin lifecycle`".to_owned(),
                    );
                }
                let late = lag.filter(|(_, lag)| tiers::needs_restore(*provider, word) && from < lag);
                if let Some((output, lag)) = late {
                    warn(
                        format!(
                            "class `{}` moves to `{word}` after `{}`, but the output `{output}` may be `{}` late",
                            class.name,
                            DurationText(*from),
                            DurationText(lag)
                        ),
                        format!(
                            "events wait for it until then: let `after` be at least `{}`",
                            DurationText(lag)
                        ),
                    );
                }
            }
        }
    }
    found.dedup();
    found
}

/// A stay that is shorter than what is paid for.
fn minimum(
    class: &RetentionClass,
    book: &Book,
    provider: Provider,
    word: &str,
    stay: Duration,
) -> Option<(String, String)> {
    let days = book.class(provider, word).min_days;
    let paid = Duration::from_hours(u64::from(days) * 24);
    (stay < paid).then(|| {
        let message = format!(
            "class `{}` leaves `{word}` after `{}`, but {days} days there are paid for",
            class.name,
            DurationText(stay)
        );
        (
            message,
            format!("stay `{}` or leave it out; `linchpin plan` says what each costs", DurationText(paid)),
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use linchpin_config::StorageClass::{self, *};

    use super::*;
    use crate::tiers::Step;

    fn class(expire: u64, steps: &[(u64, StorageClass)]) -> RetentionClass {
        let days = |n: u64| Duration::from_hours(n * 24);
        RetentionClass {
            tiers: steps.iter().map(|(after, class)| Step { after: days(*after), class: *class }).collect(),
            ..RetentionClass::new("audit", days(1), days(expire))
        }
    }

    #[test]
    fn what_is_hardly_meant_is_said() {
        let days = |n: u64| Duration::from_hours(n * 24);
        for (provider, class, expected) in [
            (Provider::S3, class(2555, &[(7, GlacierIr), (180, DeepArchive)]), vec![]),
            (
                Provider::S3,
                class(2555, &[(7, GlacierIr), (30, DeepArchive)]),
                vec!["leaves `GLACIER_IR` after `23d`, but 90 days"],
            ),
            (
                Provider::S3,
                class(100, &[(7, DeepArchive)]),
                vec!["leaves `DEEP_ARCHIVE` after `93d`, but 180"],
            ),
            (Provider::Gcs, class(300, &[(7, DeepArchive)]), vec!["leaves `ARCHIVE` after `293d`, but 365"]),
            (Provider::Gcs, class(2555, &[(1, Archive)]), vec![]),
            (
                Provider::Azure,
                class(2555, &[(1, Archive)]),
                vec!["moves to `Archive` after `1d`, but the output `siem` may be `3d` late"],
            ),
            (
                Provider::S3,
                class(2555, &[(7, Glacier), (200, DeepArchive)]),
                vec!["moves on from `GLACIER`, which cannot be read"],
            ),
            (Provider::Local, class(1, &[(0, DeepArchive)]), vec![]),
        ] {
            let book = Book::builtin().unwrap();
            let lag = Some(("siem", days(3)));
            let found = warnings(std::slice::from_ref(&class), &BTreeSet::from([provider]), lag, &book);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (warning, text) in found.iter().zip(expected) {
                assert!(warning.message.contains(text), "{warning:?}");
            }
        }
    }
}
