//! Storage classes of a policy in the words of each provider.
//!
//! A policy names one provider's classes; archives may lie with another. Each class has an equivalent
//! with every provider, the one that reads alike and costs most nearly the same, so that one policy
//! serves all archives.

use std::time::Duration;

use linchpin_config::StorageClass;

use crate::prices::Provider;

/// A class of the configuration, and its word with S3, Azure and GCS.
struct Row(StorageClass, &'static str, &'static str, &'static str);

/// Equivalents; the first row is where segments begin.
const ROWS: [Row; 13] = [
    Row(StorageClass::Standard, "STANDARD", "Hot", "STANDARD"),
    Row(StorageClass::Hot, "STANDARD", "Hot", "STANDARD"),
    Row(StorageClass::IntelligentTiering, "INTELLIGENT_TIERING", "Cool", "NEARLINE"),
    Row(StorageClass::StandardIa, "STANDARD_IA", "Cool", "NEARLINE"),
    Row(StorageClass::OnezoneIa, "ONEZONE_IA", "Cool", "NEARLINE"),
    Row(StorageClass::Cool, "STANDARD_IA", "Cool", "NEARLINE"),
    Row(StorageClass::Nearline, "STANDARD_IA", "Cool", "NEARLINE"),
    Row(StorageClass::GlacierIr, "GLACIER_IR", "Cold", "COLDLINE"),
    Row(StorageClass::Cold, "GLACIER_IR", "Cold", "COLDLINE"),
    Row(StorageClass::Coldline, "GLACIER_IR", "Cold", "COLDLINE"),
    Row(StorageClass::Glacier, "GLACIER", "Archive", "ARCHIVE"),
    Row(StorageClass::DeepArchive, "DEEP_ARCHIVE", "Archive", "ARCHIVE"),
    Row(StorageClass::Archive, "DEEP_ARCHIVE", "Archive", "ARCHIVE"),
];

/// The word of a folder, which has one class only.
const LOCAL: &str = "LOCAL";

impl Row {
    const fn word(&self, provider: Provider) -> &'static str {
        match provider {
            Provider::S3 => self.1,
            Provider::Azure => self.2,
            Provider::Gcs => self.3,
            Provider::Local => LOCAL,
        }
    }
}

/// The provider's word for a class of the configuration.
pub fn word(class: StorageClass, provider: Provider) -> &'static str {
    ROWS.iter().find(|row| row.0 == class).unwrap_or(&ROWS[0]).word(provider)
}

/// The class that a new segment is put with.
pub const fn first(provider: Provider) -> &'static str {
    ROWS[0].word(provider)
}

/// All words of a provider that a policy can come to.
pub fn words(provider: Provider) -> Vec<&'static str> {
    let mut words: Vec<&str> = Vec::new();
    for word in ROWS.iter().map(|row| row.word(provider)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// Whether reads of a class need a restore first.
pub fn needs_restore(provider: Provider, word: &str) -> bool {
    match provider {
        Provider::S3 => matches!(word, "GLACIER" | "DEEP_ARCHIVE"),
        Provider::Azure => word == "Archive",
        Provider::Gcs | Provider::Local => false,
    }
}

/// A move that a policy wants: to a storage class, when, counted from the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When, from the commit.
    pub after: Duration,
    /// Where to.
    pub class: StorageClass,
}

/// The way of an object through a provider's classes: (from when on, class), in order, beginning with
/// the class that it is put with. Steps to where it is already are left out.
pub fn way(steps: &[Step], provider: Provider) -> Vec<(Duration, &'static str)> {
    let mut way = vec![(Duration::ZERO, first(provider))];
    for step in steps {
        let word = word(step.class, provider);
        if way.last().is_some_and(|(_, last)| *last != word) {
            way.push((step.after, word));
        }
    }
    way
}

/// The class that the policy wants an object in that was committed so long ago.
pub fn wanted(steps: &[Step], provider: Provider, age: Duration) -> &'static str {
    let way = way(steps, provider);
    way.iter().rev().find(|(after, _)| *after <= age).map_or_else(|| first(provider), |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_policy_serves_every_provider() {
        let steps = [
            Step { after: 7 * DAY, class: StorageClass::GlacierIr },
            Step { after: 180 * DAY, class: StorageClass::DeepArchive },
        ];
        for (provider, words) in [
            (Provider::S3, vec!["STANDARD", "GLACIER_IR", "DEEP_ARCHIVE"]),
            (Provider::Azure, vec!["Hot", "Cold", "Archive"]),
            (Provider::Gcs, vec!["STANDARD", "COLDLINE", "ARCHIVE"]),
            (Provider::Local, vec!["LOCAL"]),
        ] {
            let way = way(&steps, provider);
            assert_eq!(way.iter().map(|(_, word)| *word).collect::<Vec<_>>(), words);
            for (days, n) in [(0, 0), (6, 0), (7, 1), (179, 1), (180, 2), (9000, 2)] {
                assert_eq!(wanted(&steps, provider, days * DAY), words[n.min(words.len() - 1)]);
            }
        }
    }

    #[test]
    fn every_class_has_a_row_and_every_archive_needs_a_restore() {
        assert_eq!(word(StorageClass::Coldline, Provider::S3), "GLACIER_IR");
        assert_eq!(word(StorageClass::Glacier, Provider::S3), "GLACIER");
        assert_eq!(words(Provider::Azure), ["Hot", "Cool", "Cold", "Archive"]);
        assert!(needs_restore(Provider::S3, "GLACIER") && !needs_restore(Provider::S3, "GLACIER_IR"));
        assert!(needs_restore(Provider::Azure, "Archive") && !needs_restore(Provider::Gcs, "ARCHIVE"));
    }

    #[test]
    fn at_once_is_where_the_object_begins() {
        let steps = [Step { after: Duration::ZERO, class: StorageClass::StandardIa }];
        let way = way(&steps, Provider::S3);
        assert_eq!(way, [(Duration::ZERO, "STANDARD"), (Duration::ZERO, "STANDARD_IA")]);
        assert_eq!(wanted(&steps, Provider::S3, Duration::ZERO), "STANDARD_IA");
    }
}
