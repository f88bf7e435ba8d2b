//! What a template is rendered with: random numbers, pools of names, variables and the time.
//!
//! A scene belongs to one lane of one source (an account in a region, a subscription, a project),
//! so its pools hold that lane's resources. Picks follow Zipf's law: a few names are in most
//! events, many are rare.

use anyhow::Result;
use fastrand::Rng;
use jiff::{Timestamp, civil::DateTime, tz::Offset};

use super::template::{Form, HEX, MARKS, Make, Names, Op, Template};

/// No pick yet in this event.
const UNPICKED: usize = usize::MAX;

/// State of rendering; see the module.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) rng: Rng,
    names: Names,
    pools: Vec<Vec<String>>,
    vars: Vec<String>,
    now_ms: i64,
    picks: Vec<usize>,
    marks: [Option<Vec<u8>>; MARKS],
}

impl Scene {
    /// A scene with its variables set, whose pools are then filled from their templates.
    pub(super) fn new(names: Names, rng: Rng, vars: &[(&str, &str)]) -> Result<Self> {
        let mut scene = Self {
            rng,
            names,
            pools: vec![Vec::new(); names.pools.len()],
            vars: vec![String::new(); names.vars.len()],
            now_ms: 0,
            picks: vec![UNPICKED; names.pools.len()],
            marks: Default::default(),
        };
        for (name, value) in vars {
            scene.set(name, value)?;
        }
        for (at, (_, count, text)) in names.pools.iter().enumerate() {
            let template = Template::parse(text, &names)?;
            for _ in 0..*count {
                scene.begin(0);
                let value = scene.text(&template);
                scene.pools[at].push(value);
            }
        }
        Ok(scene)
    }

    /// Replaces the values of a pool.
    pub(super) fn fill(&mut self, pool: &str, values: Vec<String>) -> Result<()> {
        let at = self.names.pool(pool)?;
        self.pools[at] = values;
        Ok(())
    }

    /// Replaces one value of a pool that has as many.
    pub(super) fn put(&mut self, pool: &str, place: usize, value: String) -> Result<()> {
        let at = self.names.pool(pool)?;
        if let Some(slot) = self.pools[at].get_mut(place) {
            *slot = value;
        }
        Ok(())
    }

    /// Sets a variable.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let at = self.names.var(name)?;
        value.clone_into(&mut self.vars[at]);
        Ok(())
    }

    /// Starts an event at `now_ms` (epoch): picks and marks are forgotten.
    pub(super) fn begin(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.picks.fill(UNPICKED);
        self.marks.fill(None);
    }

    /// The template as text.
    pub(super) fn text(&mut self, template: &Template) -> String {
        let mut out = Vec::new();
        self.render(template, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Appends the template to `out`.
    pub(super) fn render(&mut self, template: &Template, out: &mut Vec<u8>) {
        for op in &template.0 {
            match op {
                Op::Text(text) => out.extend_from_slice(text.as_bytes()),
                Op::Var(var) => out.extend_from_slice(self.vars[*var].as_bytes()),
                Op::Value { make, mark: None } => self.make(*make, out),
                Op::Value { make, mark: Some(mark) } => self.marked(*make, *mark, out),
                Op::Pool { pool, part, fresh } => self.pick(*pool, *part, *fresh, out),
                Op::Choose(all) => {
                    let at = self.rng.usize(..all.len());
                    self.render(&all[at], out);
                }
                Op::Chance { percent, then, or } => {
                    let hit = self.rng.u8(..100) < *percent;
                    self.render(if hit { then } else { or }, out);
                }
                Op::IfSet { var, then, or } => {
                    let set = !self.vars[*var].is_empty();
                    self.render(if set { then } else { or }, out);
                }
                Op::Repeat { min, max, body } => {
                    for at in 0..self.rng.usize(*min..=*max) {
                        if at > 0 {
                            out.push(b',');
                        }
                        self.render(body, out);
                    }
                }
            }
        }
    }

    fn pick(&mut self, pool: usize, part: usize, fresh: bool, out: &mut Vec<u8>) {
        let mut at = self.picks[pool];
        if fresh || at == UNPICKED {
            at = zipf(&mut self.rng, self.pools[pool].len());
            self.picks[pool] = at;
        }
        let value = self.pools[pool].get(at).and_then(|value| value.split('|').nth(part));
        out.extend_from_slice(value.unwrap_or_default().as_bytes());
    }

    fn marked(&mut self, make: Make, mark: usize, out: &mut Vec<u8>) {
        if let Some(value) = &self.marks[mark] {
            out.extend_from_slice(value);
            return;
        }
        let start = out.len();
        self.make(make, out);
        self.marks[mark] = Some(out[start..].to_vec());
    }

    fn make(&mut self, make: Make, out: &mut Vec<u8>) {
        let rng = &mut self.rng;
        match make {
            Make::Uuid => uuid(rng, out),
            Make::Random { alphabet, len } => random(rng, alphabet, len, out),
            Make::Int { min, max } => number(rng.i64(min..=max), out),
            Make::Log { min, max } => number(log_between(rng, min, max), out),
            Make::Ip => out.extend_from_slice(public_ip(rng).as_bytes()),
            Make::Ip6 => {
                out.extend_from_slice(b"2001:db8");
                for _ in 0..3 {
                    out.push(b':');
                    number(rng.i64(1..10), out);
                    random(rng, HEX, 3, out);
                }
                out.extend_from_slice(b"::1");
            }
            Make::Ip10 => {
                let [_, a, b, c] = rng.u32(..).to_be_bytes();
                out.extend_from_slice(format!("10.{}.{b}.{c}", a % 16).as_bytes());
            }
            Make::Time { form, shift_s } => self.time(form, shift_s, out),
        }
    }

    fn time(&mut self, form: Form, shift_s: i64, out: &mut Vec<u8>) {
        let at_ms = self.now_ms + shift_s * 1000;
        match form {
            Form::Epoch => number(at_ms / 1000, out),
            Form::EpochMs => number(at_ms, out),
            Form::American => american(&civil(at_ms), out),
            Form::Iso { digits } => {
                iso(&civil(at_ms), out);
                if digits > 0 {
                    let nanos = at_ms.rem_euclid(1000) * 1_000_000 + self.rng.i64(0..1_000_000);
                    out.push(b'.');
                    out.extend_from_slice(&format!("{nanos:09}").as_bytes()[..digits.min(9)]);
                }
            }
        }
    }
}

/// An index below `len`, small ones far more often: log-uniform, which is Zipf's law with exponent 1.
pub(super) fn zipf(rng: &mut Rng, len: usize) -> usize {
    let most = len as f64 + 1.0;
    (most.powf(rng.f64()) as usize).saturating_sub(1).min(len.saturating_sub(1))
}

/// A number from `min` (at least 1) to `max`, each order of magnitude as likely as the next.
pub(super) fn log_between(rng: &mut Rng, min: i64, max: i64) -> i64 {
    let (low, high) = ((min.max(1) as f64).ln(), (max.max(1) as f64).ln());
    ((low + (high - low) * rng.f64()).exp() as i64).clamp(min, max)
}

/// An address that stands for the public internet, from ranges that are nobody's: 198.18.0.0/15
/// (benchmarks), 192.0.2.0/24 and 203.0.113.0/24 (documentation). 198.51.100.0/24 is the attacker's.
pub(super) fn public_ip(rng: &mut Rng) -> String {
    let (a, b) = (rng.u8(..), rng.u8(1..255));
    match rng.u8(..20) {
        0 => format!("192.0.2.{b}"),
        1 => format!("203.0.113.{b}"),
        net => format!("198.{}.{a}.{b}", 18 + net % 2),
    }
}

/// Appends a decimal number.
pub(super) fn number(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `len` random characters of `alphabet` (at most 64 characters).
pub(super) fn random(rng: &mut Rng, alphabet: &[u8], len: usize, out: &mut Vec<u8>) {
    let bits = (alphabet.len() - 1).ilog2() + 1;
    let (mut word, mut left, mut missing) = (0_u64, 0, len);
    while missing > 0 {
        if left < bits {
            (word, left) = (rng.u64(..), 64);
        }
        let at = (word & ((1 << bits) - 1)) as usize;
        (word, left) = (word >> bits, left - bits);
        if let Some(letter) = alphabet.get(at) {
            out.push(*letter);
            missing -= 1;
        }
    }
}

/// Appends a random UUID of version 4.
pub(super) fn uuid(rng: &mut Rng, out: &mut Vec<u8>) {
    let mut bytes = rng.u128(..).to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Date and time in UTC of `at_ms` (epoch).
pub(super) fn civil(at_ms: i64) -> DateTime {
    Offset::UTC.to_datetime(Timestamp::from_millisecond(at_ms).unwrap_or_default())
}

fn iso(at: &DateTime, out: &mut Vec<u8>) {
    number(i64::from(at.year()), out);
    let fields =
        [(b'-', at.month()), (b'-', at.day()), (b'T', at.hour()), (b':', at.minute()), (b':', at.second())];
    for (before, value) in fields {
        let value = value.unsigned_abs();
        out.extend_from_slice(&[before, b'0' + value / 10, b'0' + value % 10]);
    }
}

fn american(at: &DateTime, out: &mut Vec<u8>) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS[usize::from(at.month().unsigned_abs()).clamp(1, 12) - 1];
    let hour = (at.hour() + 11) % 12 + 1;
    let half = if at.hour() < 12 { "AM" } else { "PM" };
    let (day, year, minute, second) = (at.day(), at.year(), at.minute(), at.second());
    out.extend_from_slice(format!("{month} {day}, {year}, {hour}:{minute:02}:{second:02} {half}").as_bytes());
}
