//! Recognises the source of a unit by its first events.

use std::sync::Arc;

use super::Normalizer;
use crate::catalog::{Place, Recognised};
use crate::envelope::SCRATCH_PATHS_MAX;
use crate::framing::{self, JsonFrames};
use crate::scan::Scanner;

/// Lines of a text that are looked at to recognise its source.
const LINES_LOOKED_AT: usize = 8;
/// Leading bytes in which an envelope must name its array to be recognised by what is in that.
const ENVELOPE_HEAD_BYTES: usize = 64 << 10;
/// Events of JSON that are looked at to recognise its source.
const EVENTS_LOOKED_AT: usize = 8;

impl Normalizer {
    /// The source of a unit, by its first events that say something.
    pub(super) fn recognise(&mut self, key: &str, bytes: &[u8]) -> Option<Recognised> {
        if !framing::is_json(bytes) {
            let mut at = 0;
            // A line that only part of says nothing of the others: look at a few.
            for _ in 0..LINES_LOOKED_AT {
                let line = framing::next_line(bytes, at)?;
                at = line.end;
                if let Ok(line) = std::str::from_utf8(&bytes[line.start..line.end])
                    && let Some(found) = self.catalog.of_line(key, line, Place::First)
                {
                    return Some(found);
                }
            }
            return None;
        }
        self.recognise_json(key, bytes, &[]).or_else(|| {
            // What nothing knows may be an envelope that only some source knows.
            let catalog = Arc::clone(&self.catalog);
            let head = &bytes[..bytes.len().min(ENVELOPE_HEAD_BYTES)];
            let named = |key: &String| memchr::memmem::find(head, key.as_bytes()).is_some();
            catalog.envelopes().into_iter().filter(|arrays| arrays.iter().any(named)).find_map(|arrays| {
                let found = self.recognise_json(key, bytes, arrays)?;
                (catalog.plans()[found.source].framing.arrays() == arrays).then_some(found)
            })
        })
    }

    fn recognise_json(&mut self, key: &str, bytes: &[u8], arrays: &[String]) -> Option<Recognised> {
        self.fresh_scratch();
        let mut frames = JsonFrames::default();
        let mut at = 0;
        // A broken first event says nothing: look at a few.
        for _ in 0..EVENTS_LOOKED_AT {
            let frame = frames.next(bytes, at, arrays, &mut self.scratch, &mut self.scanned)?;
            if frame.broken.is_none()
                && let Ok(text) = std::str::from_utf8(&bytes[frame.start..frame.end])
                && let Some(found) =
                    self.catalog.of_json(key, text, &self.scanned.leaves, &self.scratch.paths, None)
            {
                return Some(found);
            }
            at = frame.end;
        }
        None
    }

    fn fresh_scratch(&mut self) {
        if self.scratch.paths.len() > SCRATCH_PATHS_MAX {
            self.scratch = Scanner::default();
        }
    }
}
