//! What regulations ask of retention, as documented presets, and where a policy falls short of them.
//!
//! A preset is this program's reading of a text, given with its place there; it is no legal advice. Months
//! count 365/12 days.

use std::time::Duration;

use linchpin_config::{DurationText, Preset};

use super::RetentionClass;

/// Hours of a day.
const DAY_HOURS: u64 = 24;

/// What a regulation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The preset.
    pub preset: Preset,
    /// Its name in a configuration.
    pub name: &'static str,
    /// The regulation's title.
    pub title: &'static str,
    /// Where it says so.
    pub source: &'static str,
    /// Days that events must be searchable at once.
    pub hot_days: u64,
    /// Days that events must be kept at all.
    pub total_days: u64,
    /// What must be known of an event: one column of each group.
    pub columns: &'static [&'static [&'static str]],
}

/// Who, from where.
const USER: &[&str] = &["actor_user_name", "actor_user_uid", "user_name", "user_uid"];
const ORIGIN: &[&str] = &["src_endpoint_ip", "src_endpoint_hostname", "device_hostname"];
const OUTCOME: &[&str] = &["status_id", "status_code", "action_id", "disposition_id", "activity_id"];
const TARGET: &[&str] =
    &["resource_uid", "resource_name", "dst_endpoint_ip", "api_operation", "device_hostname"];

/// The presets.
pub const DEMANDS: [Demand; 5] = [
    Demand {
        preset: Preset::PciDss4,
        name: "pci_dss_4",
        title: "PCI DSS 4.0",
        source: "10.5.1: twelve months, the latest three at once; 10.2.2: what an entry holds",
        hot_days: 90,
        total_days: 365,
        columns: &[USER, ORIGIN, OUTCOME, TARGET],
    },
    Demand {
        preset: Preset::Hipaa,
        name: "hipaa",
        title: "HIPAA",
        source: "45 CFR 164.316(b)(2)(i): six years; 164.312(b): activity in systems with health information",
        hot_days: 0,
        total_days: 6 * 365,
        columns: &[USER, OUTCOME],
    },
    Demand {
        preset: Preset::Sox,
        name: "sox",
        title: "Sarbanes-Oxley",
        source: "section 802 with 17 CFR 210.2-06: seven years",
        hot_days: 0,
        total_days: 7 * 365,
        columns: &[USER, OUTCOME, TARGET],
    },
    Demand {
        preset: Preset::Nis2,
        name: "nis2",
        title: "NIS2",
        source: "directive (EU) 2022/2555, article 21, and regulation (EU) 2024/2690, annex 3.2, name no period: twelve months, the latest three at once, are this preset's reading",
        hot_days: 90,
        total_days: 365,
        columns: &[USER, ORIGIN, OUTCOME],
    },
    Demand {
        preset: Preset::M2131,
        name: "m_21_31",
        title: "OMB M-21-31",
        source: "appendix C: twelve months active and eighteen months cold; section I: what an event holds",
        hot_days: 365,
        total_days: 365 + 547,
        columns: &[USER, ORIGIN, OUTCOME],
    },
];

/// What a preset asks for.
pub fn demand(preset: Preset) -> &'static Demand {
    DEMANDS.iter().find(|demand| demand.preset == preset).unwrap_or(&DEMANDS[0])
}

impl Demand {
    /// How a class falls short of it, and what mends it.
    pub fn shortfalls(&self, class: &RetentionClass) -> Vec<(String, String)> {
        let days = |n: u64| Duration::from_hours(n * DAY_HOURS);
        let mut found = Vec::new();
        for (what, key, has, needs) in [
            ("hot", "hot", class.hot, days(self.hot_days)),
            ("at all", "expire", class.expire, days(self.total_days)),
        ] {
            if has < needs {
                let message = format!(
                    "class `{}` keeps events {what} for `{}`, but `{}` asks for {} days",
                    class.name,
                    DurationText(has),
                    self.name,
                    needs.as_secs() / (DAY_HOURS * 3600),
                );
                let hint = format!("let `{key}` be at least `{}` ({})", DurationText(needs), self.source);
                found.push((message, hint));
            }
        }
        found
    }

    /// Groups of columns of which `filled` has none.
    pub fn missing(&self, filled: &[&str]) -> Vec<&'static [&'static str]> {
        let lacks = |group: &&&[&str]| !group.iter().any(|column| filled.contains(column));
        self.columns.iter().filter(lacks).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use linchpin_normalize::columns;

    use super::*;

    fn class(hot_days: u64, total_days: u64) -> RetentionClass {
        let days = |n: u64| Duration::from_hours(n * DAY_HOURS);
        RetentionClass::new("audit", days(hot_days), days(total_days))
    }

    #[test]
    fn classes_meet_a_preset_or_say_why_not() {
        for (preset, hot, total, expected) in [
            (Preset::PciDss4, 90, 365, vec![]),
            (Preset::PciDss4, 89, 365, vec!["keeps events hot for `89d`, but `pci_dss_4` asks for 90 days"]),
            (
                Preset::M2131,
                300,
                900,
                vec![
                    "hot for `300d`, but `m_21_31` asks for 365",
                    "at all for `900d`, but `m_21_31` asks for 912",
                ],
            ),
            (Preset::Hipaa, 0, 2190, vec![]),
            (Preset::Hipaa, 0, 2189, vec!["`hipaa` asks for 2190 days"]),
            (Preset::Sox, 0, 2190, vec!["`sox` asks for 2555 days"]),
            (Preset::Nis2, 0, 365, vec!["keeps events hot for `0ms`"]),
        ] {
            let found = demand(preset).shortfalls(&class(hot, total));
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for ((message, hint), text) in found.iter().zip(expected) {
                assert!(message.contains(text) && hint.starts_with("let `"), "{message}\n{hint}");
            }
        }
    }

    #[test]
    fn every_preset_is_there_and_names_real_columns() {
        for demand in &DEMANDS {
            assert_eq!(super::demand(demand.preset).name, demand.name);
            let named = serde_json::to_value(demand.preset).ok();
            assert_eq!(named.as_ref().and_then(|v| v.as_str()), Some(demand.name));
            assert!(demand.columns.iter().copied().flatten().all(|c| columns::index(c).is_some()));
        }
        let pci = demand(Preset::PciDss4);
        assert_eq!(pci.missing(&["actor_user_name", "src_endpoint_ip", "status_id"]), [TARGET]);
    }
}
