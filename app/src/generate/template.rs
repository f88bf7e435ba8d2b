//! The small template language in which every source's events are written.
//!
//! A template is literal text with tags in angle brackets. Literals are copied as they are, so key
//! order and formatting of an event are those of its table.
//!
//! | tag | writes |
//! |---|---|
//! | `<uuid>` `<hex N>` `<digits N>` `<base32 N>` `<base64 N>` `<base62 N>` `<base36 N>` | fresh random text |
//! | `<int A B>` `<log A B>` | a number from A to B, evenly or by order of magnitude |
//! | `<ip>` `<ip6>` `<ip10>` | a fresh public, IPv6 or private address |
//! | `<iso N ±S>` `<us ±S>` `<epoch ±S>` `<epochms ±S>` | the event's time, N fraction digits, moved by S seconds |
//! | `<tag #K>` | the same value wherever `#K` (0 to 7) stands in one event |
//! | `<pool>` `<pool.P>` `<pool!>` | a popular value of a pool (one per event), its part P, another pick |
//! | `<lt>` | the character `<` |
//! | `<@name>` `<&name>` | a variable of the scene; a fragment, parsed in place |
//! | `<pick a\|b\|c>` `<(>…<\|>…<)>` | one of several texts; one of several templates |
//! | `<?30>…<:>…<)>` `<?@name>…<:>…<)>` | the first part in 30 % of cases, or if a variable is not empty |
//! | `<*A B>…<)>` | A to B times, with commas between |

use anyhow::{Context, Result, bail};

/// Marks `#0` to `#7` of one event.
pub(super) const MARKS: usize = 8;

/// The names a template may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// Name, number of values and template of a value (parts are separated by `|`).
    pub(super) pools: &'static [(&'static str, usize, &'static str)],
    /// Variables, set by the source.
    pub(super) vars: &'static [&'static str],
    /// Texts that several templates share.
    pub(super) fragments: &'static [(&'static str, &'static str)],
}

/// A parsed template.
#[derive(Debug)]
pub(super) struct Template(pub(super) Box<[Op]>);

/// One step of rendering.
#[derive(Debug)]
pub(super) enum Op {
    Text(Box<str>),
    Value { make: Make, mark: Option<usize> },
    Pool { pool: usize, part: usize, fresh: bool },
    Var(usize),
    Choose(Box<[Template]>),
    Chance { percent: u8, then: Template, or: Template },
    IfSet { var: usize, then: Template, or: Template },
    Repeat { min: usize, max: usize, body: Template },
}

/// How a value is made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Make {
    Uuid,
    Random { alphabet: &'static [u8], len: usize },
    Int { min: i64, max: i64 },
    Log { min: i64, max: i64 },
    Ip,
    Ip6,
    Ip10,
    Time { form: Form, shift_s: i64 },
}

/// How a time is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Iso { digits: usize },
    American,
    Epoch,
    EpochMs,
}

pub(super) const HEX: &[u8] = b"0123456789abcdef";
const DIGITS: &[u8] = b"0123456789";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE36: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Template {
    /// Parses `text`; an unknown tag or an unclosed group is an error.
    pub(super) fn parse(text: &str, names: &Names) -> Result<Self> {
        let mut parser = Parser { rest: text, names };
        let (template, end) = parser.sequence().with_context(|| format!("in template `{text}`"))?;
        if end != End::Text {
            bail!("group closed but never opened in template `{text}`");
        }
        Ok(template)
    }
}

/// What ended a sequence.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Text,
    Else,
    Close,
}

struct Parser<'a> {
    rest: &'a str,
    names: &'a Names,
}

impl Parser<'_> {
    fn sequence(&mut self) -> Result<(Template, End)> {
        let mut ops = Vec::new();
        while !self.rest.is_empty() {
            let open = self.rest.find('<').unwrap_or(self.rest.len());
            if open > 0 {
                ops.push(Op::Text(self.rest[..open].into()));
                self.rest = &self.rest[open..];
                continue;
            }
            let close = self.rest.find('>').context("tag without `>`")?;
            let tag = &self.rest[1..close];
            self.rest = &self.rest[close + 1..];
            if tag.contains('<') {
                bail!("tag inside the tag `{tag}`");
            }
            match tag {
                ")" => return Ok((Template(ops.into()), End::Close)),
                ":" | "|" => return Ok((Template(ops.into()), End::Else)),
                "lt" => ops.push(Op::Text("<".into())),
                "(" => ops.push(Op::Choose(self.alternatives()?.into())),
                _ if tag.starts_with('?') => ops.push(self.condition(&tag[1..])?),
                _ if tag.starts_with('*') => ops.push(self.repeat(&tag[1..])?),
                _ if tag.starts_with('&') => {
                    let text = self.names.fragment(&tag[1..])?;
                    ops.extend(Template::parse(text, self.names)?.0);
                }
                _ => ops.push(self.value(tag).with_context(|| format!("in tag `{tag}`"))?),
            }
        }
        Ok((Template(ops.into()), End::Text))
    }

    fn alternatives(&mut self) -> Result<Vec<Template>> {
        let mut all = Vec::new();
        loop {
            let (template, end) = self.sequence()?;
            all.push(template);
            match end {
                End::Else => {}
                End::Close => return Ok(all),
                End::Text => bail!("group is never closed"),
            }
        }
    }

    fn condition(&mut self, test: &str) -> Result<Op> {
        let mut parts = self.alternatives()?.into_iter();
        let then = parts.next().context("empty condition")?;
        let or = parts.next().unwrap_or(Template([].into()));
        Ok(match test.strip_prefix('@') {
            Some(name) => Op::IfSet { var: self.names.var(name)?, then, or },
            None => Op::Chance { percent: test.parse().context("not a percentage")?, then, or },
        })
    }

    fn repeat(&mut self, range: &str) -> Result<Op> {
        let (min, max) = range.split_once(' ').context("repeat needs two numbers")?;
        let (body, end) = self.sequence()?;
        if end != End::Close {
            bail!("repeat is never closed");
        }
        Ok(Op::Repeat { min: min.parse()?, max: max.parse()?, body })
    }

    fn value(&self, tag: &str) -> Result<Op> {
        if let Some(list) = tag.strip_prefix("pick ") {
            let texts = list.split('|').map(|text| Template([Op::Text(text.into())].into()));
            return Ok(Op::Choose(texts.collect()));
        }
        if let Some(name) = tag.strip_prefix('@') {
            return Ok(Op::Var(self.names.var(name)?));
        }
        let mut words: Vec<&str> = tag.split(' ').collect();
        let mark = match words.last().and_then(|word| word.strip_prefix('#')) {
            Some(mark) => {
                Some(mark.parse::<usize>().ok().filter(|mark| *mark < MARKS).context("no such mark")?)
            }
            None => None,
        };
        if mark.is_some() {
            words.pop();
        }
        if let Some(make) = make(&words)? {
            return Ok(Op::Value { make, mark });
        }
        let name = tag.trim_end_matches('!');
        let (name, part) = name.split_once('.').unwrap_or((name, "0"));
        Ok(Op::Pool { pool: self.names.pool(name)?, part: part.parse()?, fresh: tag.ends_with('!') })
    }
}

/// The value named by the words of a tag, or none if it must be a pool.
fn make(words: &[&str]) -> Result<Option<Make>> {
    let number = |at: usize| -> Result<i64> {
        words.get(at).map_or(Ok(0), |word| word.parse::<i64>().context("not a number"))
    };
    let random =
        |alphabet| -> Result<Make> { Ok(Make::Random { alphabet, len: usize::try_from(number(1)?)? }) };
    let time = |form, shift_s| Make::Time { form, shift_s };
    Ok(Some(match words[0] {
        "uuid" => Make::Uuid,
        "hex" => random(HEX)?,
        "digits" => random(DIGITS)?,
        "base32" => random(BASE32)?,
        "base36" => random(BASE36)?,
        "base62" => random(BASE62)?,
        "base64" => random(BASE64)?,
        "int" => Make::Int { min: number(1)?, max: number(2)? },
        "log" => Make::Log { min: number(1)?, max: number(2)? },
        "ip" => Make::Ip,
        "ip6" => Make::Ip6,
        "ip10" => Make::Ip10,
        "iso" => time(Form::Iso { digits: usize::try_from(number(1)?)? }, number(2)?),
        "us" => time(Form::American, number(1)?),
        "epoch" => time(Form::Epoch, number(1)?),
        "epochms" => time(Form::EpochMs, number(1)?),
        _ => return Ok(None),
    }))
}

impl Names {
    /// Place of the variable `name`.
    pub(super) fn var(&self, name: &str) -> Result<usize> {
        self.vars.iter().position(|var| *var == name).with_context(|| format!("no variable `{name}`"))
    }

    /// Place of the pool `name`.
    pub(super) fn pool(&self, name: &str) -> Result<usize> {
        self.pools.iter().position(|pool| pool.0 == name).with_context(|| format!("no pool or tag `{name}`"))
    }

    fn fragment(&self, name: &str) -> Result<&'static str> {
        let found = self.fragments.iter().find(|fragment| fragment.0 == name);
        Ok(found.with_context(|| format!("no fragment `{name}`"))?.1)
    }
}
