//! In what form events are given.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use linchpin_normalize::{EventId, Normalizer};
use serde::{Deserialize, Serialize};

use super::Rehydrated;
use crate::replay::replay_unit;

/// In what form events are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The exact bytes and a newline.
    #[default]
    Raw,
    /// `{"event_id":…,"raw_b64":…}`, one a line.
    Framed,
    /// OCSF documents of the rows that matched, by today's mappings, one a line.
    Ocsf,
}

impl Shape {
    /// Ending of the names of files that hold events in this form.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Raw => "log",
            Self::Framed | Self::Ocsf => "ndjson",
        }
    }

    /// Writes one event.
    pub fn write(
        self,
        event: &Rehydrated<'_>,
        normalizer: &mut Normalizer,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        match self {
            Self::Raw => {
                to.write_all(event.event.bytes)?;
                to.write_all(b"\n")
            }
            Self::Framed => {
                let id = EventId::new(event.unit.id().key(), event.event.offset, 0);
                writeln!(to, r#"{{"event_id":"{id}","raw_b64":"{}"}}"#, BASE64.encode(event.event.bytes))
            }
            Self::Ocsf => {
                let unit = replay_unit(event.unit);
                let documents = normalizer.render(&unit, event.event.offset, event.event.bytes);
                let asked = event.subs.iter().filter_map(|sub| documents.get(*sub as usize));
                asked.into_iter().try_for_each(|document| writeln!(to, "{document}"))
            }
        }
    }
}
