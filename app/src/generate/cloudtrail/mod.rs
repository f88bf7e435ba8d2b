//! AWS `CloudTrail`: sessions of principals that call APIs, as `{"Records":[…]}` files.
//!
//! A session picks a kind of [actor](actors), fixes its identity, credentials, tool and address,
//! and makes a run of calls, often the same call several times, as programs do.

mod actors;
pub(super) mod call;
mod calls_compute;
mod calls_data;
mod calls_identity;

use std::rc::Rc;

use anyhow::{Context, Result};
use fastrand::Rng;

use self::{
    actors::{ACTORS, Actor, NAMES},
    call::Call,
};
use super::{
    Job, attack,
    plan::by_size,
    scene::{Scene, civil, random},
    sink::{Frame, Sink, Stream},
    template::Template,
    world::World,
};

const FRAME: Frame<'static> = Frame { open: r#"{"Records":["#, between: ",", close: "]}" };

/// Sessions that a lane has open at a time.
const OPEN_SESSIONS: usize = 10;

/// Percentage of calls that repeat the session's previous call.
const REPEAT_PERCENT: u8 = 45;

/// Events reach a file up to this late.
const LATE_MS: i64 = 20_000;

/// Place of the attack's victim among the users: not the most active one.
const VICTIM_PLACE: usize = 2;

/// Writes all files of the source.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let lanes = &job.world.aws;
    let weights: Vec<f64> = lanes.iter().map(|lane| lane.weight).collect();
    let slots = by_size(job.span, &weights, job.bytes, job.file_bytes);
    let calls = Rc::new(Calls::parse()?);
    let mut trail: Option<Trail> = None;
    for slot in slots {
        let mut current = match trail.take().filter(|trail| trail.lane == slot.lane) {
            Some(trail) => trail,
            None => Trail::new(job.world, slot.lane, &calls)?,
        };
        let lane = &lanes[slot.lane];
        let at = civil(slot.until_ms + 300_000);
        let mut unique = Vec::new();
        random(
            &mut current.names,
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            16,
            &mut unique,
        );
        let name = format!(
            "aws/AWSLogs/{account}/CloudTrail/{region}/{}/{account}_CloudTrail_{region}_{}_{}.json.gz",
            at.strftime("%Y/%m/%d"),
            at.strftime("%Y%m%dT%H%MZ"),
            String::from_utf8_lossy(&unique),
            account = lane.account,
            region = lane.region,
        );
        sink.file(&slot, &name, FRAME, &mut current)?;
        trail = Some(current);
    }
    Ok(())
}

/// The tables of calls and actors, parsed, and for each actor which calls it makes.
#[derive(Debug)]
struct Calls {
    templates: Vec<Template>,
    rows: Vec<&'static Call>,
    /// For each actor: cumulative weights and rows.
    choices: Vec<Vec<(u32, usize)>>,
    actors: Vec<[Template; 8]>,
    /// The attack's calls.
    attack: Vec<Template>,
}

/// Variables that a session sets, in the order of [`Calls::actors`].
const SESSION_VARS: [&str; 7] = ["identity", "arn", "agent", "address", "endpoint", "tls", "console"];

impl Calls {
    fn parse() -> Result<Self> {
        let rows: Vec<&Call> = [calls_data::DATA, calls_compute::COMPUTE, calls_identity::IDENTITY]
            .into_iter()
            .flatten()
            .collect();
        let parse = |text: &str| Template::parse(text, &NAMES);
        let templates = rows.iter().map(|row| parse(&row.template())).collect::<Result<_>>()?;
        let choices = ACTORS.iter().map(|actor| choices(actor, &rows)).collect();
        let parse_actor = |actor: &Actor| -> Result<[Template; 8]> {
            Ok([
                parse(actor.identity)?,
                parse(actor.arn)?,
                parse(actor.agent)?,
                parse(actor.address)?,
                parse(actor.endpoint)?,
                parse(actor.tls)?,
                parse(actor.console)?,
                parse("1.<pick 08|09|10|11|11>")?,
            ])
        };
        let actors = ACTORS.iter().map(parse_actor).collect::<Result<_>>()?;
        let attack = attack::TRAIL.iter().map(|step| parse(&step.call.template())).collect::<Result<_>>()?;
        Ok(Self { templates, rows, choices, actors, attack })
    }
}

fn choices(actor: &Actor, rows: &[&Call]) -> Vec<(u32, usize)> {
    let mut sum = 0;
    let mut choices = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        if row.by.contains(actor.letter) {
            sum += row.weight;
            choices.push((sum, at));
        }
    }
    choices
}

/// One principal at work.
#[derive(Debug, Default)]
struct Session {
    actor: usize,
    vars: [String; 8],
    left: usize,
    /// The previous call.
    row: Option<usize>,
}

/// The events of one account in one region.
struct Trail {
    lane: usize,
    calls: Rc<Calls>,
    scene: Scene,
    sessions: Vec<Session>,
    global: bool,
    /// Sessions of the attacker: with the leaked key, with the new one.
    attack: [[String; 8]; 2],
    names: Rng,
}

impl Trail {
    fn new(world: &World, lane: usize, calls: &Rc<Calls>) -> Result<Self> {
        let place = &world.aws[lane];
        let mut rng = world.rng("aws.cloudtrail", lane);
        let names = rng.fork();
        let people = world.people_pool(&mut rng);
        let story = attack::Story::new(world);
        let mut scene = Scene::new(NAMES, rng, &[("account", &place.account), ("region", place.region)])?;
        scene.fill("person", people)?;
        if lane == 0 {
            // The key that will leak is in ordinary use as well.
            scene.put("user", VICTIM_PLACE, story.victim())?;
        }
        for (name, value) in story.trail_vars() {
            scene.set(name, value)?;
        }
        let sessions = (0..OPEN_SESSIONS).map(|_| Session::default()).collect();
        let global = place.region == "us-east-1";
        let attack = story.trail_sessions();
        Ok(Self { lane, calls: Rc::clone(calls), scene, sessions, global, attack, names })
    }

    fn start_session(&mut self, now_ms: i64) -> Session {
        let total: u32 = ACTORS.iter().map(|actor| actor.weight).sum();
        let mut at = self.scene.rng.u32(..total);
        let actor = ACTORS.iter().position(|actor| {
            let hit = at < actor.weight;
            at = at.saturating_sub(actor.weight);
            hit
        });
        let actor = actor.unwrap_or_default();
        self.scene.begin(now_ms);
        let calls = Rc::clone(&self.calls);
        let vars = std::array::from_fn(|var| self.scene.text(&calls.actors[actor][var]));
        let (least, most) = ACTORS[actor].calls;
        Session { actor, vars, left: self.scene.rng.usize(least..=most), row: None }
    }

    /// The next call of a session: often the previous one again.
    fn next_call(&mut self, session: &Session) -> usize {
        let choices = &self.calls.choices[session.actor];
        if let Some(row) = session.row.filter(|_| self.scene.rng.u8(..100) < REPEAT_PERCENT) {
            return row;
        }
        let total = choices.last().map_or(1, |choice| choice.0);
        for _ in 0..50 {
            let weight = self.scene.rng.u32(..total);
            let (_, row) = choices[choices.partition_point(|choice| choice.0 <= weight)];
            if self.global || !self.calls.rows[row].global() {
                return row;
            }
        }
        0
    }

    fn apply(&mut self, session: &[String; 8]) -> Result<()> {
        for (name, value) in SESSION_VARS.iter().chain(&["version"]).zip(session) {
            self.scene.set(name, value)?;
        }
        Ok(())
    }
}

impl Stream for Trail {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let at = self.scene.rng.usize(..self.sessions.len());
        let mut session = std::mem::take(&mut self.sessions[at]);
        if session.left == 0 {
            session = self.start_session(now_ms);
        }
        session.left -= 1;
        let row = self.next_call(&session);
        session.row = Some(row);
        self.apply(&session.vars)?;
        let call = self.calls.rows[row];
        let failing = self.scene.rng.u8(..100) < ACTORS[session.actor].failing;
        self.scene.set("failed", if call.fails.unwrap_or(failing) { "1" } else { "" })?;
        let late_ms = if self.scene.rng.u8(..100) < 15 { self.scene.rng.i64(0..LATE_MS) } else { 0 };
        self.scene.begin(now_ms - late_ms);
        let calls = Rc::clone(&self.calls);
        self.scene.render(&calls.templates[row], out);
        self.sessions[at] = session;
        Ok(())
    }

    fn attack(&mut self, step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let row = attack::TRAIL.get(step).context("no such step of the attack")?;
        let session = self.attack[usize::from(row.new_key)].clone();
        self.apply(&session)?;
        self.scene.set("failed", if row.call.fails == Some(true) { "1" } else { "" })?;
        self.scene.begin(now_ms);
        let calls = Rc::clone(&self.calls);
        self.scene.render(&calls.attack[step], out);
        Ok(())
    }
}

/// Single `CloudTrail` events as bytes: `n` of them, a second apart.
#[cfg(test)]
pub(super) fn records(seed: u64, n: usize, from_ms: i64) -> Result<impl Iterator<Item = Result<Vec<u8>>>> {
    let mut trail = Trail::new(&World::new(seed), 0, &Rc::new(Calls::parse()?))?;
    Ok((0..n).map(move |at| {
        let mut out = Vec::new();
        trail.event(from_ms + at as i64 * 1000, &mut out)?;
        Ok(out)
    }))
}
