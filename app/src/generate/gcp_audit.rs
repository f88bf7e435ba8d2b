//! GCP audit logs: JSON lines, one file an hour and log.

use anyhow::{Context, Result};

use super::{
    Job,
    attack::Story,
    gcp_methods::{ENTRY, METHODS, Method, NAMES, TAKEOVER},
    plan::hourly,
    scene::{Scene, civil},
    sink::{Frame, Sink, Stream},
    template::Template,
    world::World,
};

const FILE_BYTES_MIN: u64 = 5_000;

/// Folder of a log and its share.
const LOGS: [(&str, f64); 3] = [("activity", 0.4), ("data_access", 0.55), ("system_event", 0.05)];

/// Writes all files of the source.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let weights = LOGS.map(|log| log.1);
    let mut logs: Vec<Log> = Vec::new();
    for slot in hourly(job.span, &weights, job.bytes, FILE_BYTES_MIN) {
        while logs.len() <= slot.lane {
            logs.push(Log::new(job.world, logs.len())?);
        }
        let at = civil(slot.from_ms);
        let name = format!(
            "gcp/cloudaudit.googleapis.com/{}/{}/{}_S0.json",
            LOGS[slot.lane].0,
            at.strftime("%Y/%m/%d"),
            at.strftime("%H:00:00_%H:59:59")
        );
        sink.file(&slot, &name, Frame::LINES, &mut logs[slot.lane])?;
    }
    Ok(())
}

/// A method's weight and parsed texts, in the order of [`METHOD_VARS`].
type Parsed = (u32, [Template; 6]);

/// Variables that say what is called.
const METHOD_VARS: [&str; 6] = ["service", "method", "permission", "resource", "type", "request"];

fn parse_method(method: &Method) -> Result<Parsed> {
    let parse = |text: &str| Template::parse(text, &NAMES);
    let (_, weight, service, name, permission, resource, kind, rest) = method;
    Ok((
        *weight,
        [parse(service)?, parse(name)?, parse(permission)?, parse(resource)?, parse(kind)?, parse(rest)?],
    ))
}

/// One audit log, of all projects.
struct Log {
    which: usize,
    scenes: Vec<Scene>,
    entry: Template,
    methods: Vec<Parsed>,
    takeover: Parsed,
    person: Template,
    account: Template,
    addresses: [Template; 2],
    agent: Template,
    story: Story,
}

impl Log {
    fn new(world: &World, log: usize) -> Result<Self> {
        let scene = |(at, project): (usize, &String)| -> Result<Scene> {
            let mut rng = world.rng("gcp.audit", log * 100 + at);
            let people = world.people_pool(&mut rng);
            let mut scene = Scene::new(NAMES, rng, &[("project", project), ("log", LOGS[log].0)])?;
            scene.fill("person", people)?;
            Ok(scene)
        };
        let parse = |text: &str| Template::parse(text, &NAMES);
        Ok(Self {
            which: log,
            scenes: world.projects.iter().enumerate().map(scene).collect::<Result<_>>()?,
            entry: parse(ENTRY)?,
            methods: METHODS
                .iter()
                .filter(|method| method.0 == log)
                .map(parse_method)
                .collect::<Result<_>>()?,
            takeover: parse_method(&TAKEOVER)?,
            person: parse("<person.1>")?,
            account: parse("<account>")?,
            addresses: [
                parse("<?85><person.6><:><?30><ip6><:><ip><)><)>")?,
                parse("<(><ip10><|><ip><|>private<)>")?,
            ],
            agent: parse("<agent>")?,
            story: Story::new(world),
        })
    }

    fn entry(&mut self, scene: usize, takeover: bool, out: &mut Vec<u8>) -> Result<()> {
        let scene = &mut self.scenes[scene];
        let total: u32 = self.methods.iter().map(|method| method.0).sum();
        let mut at = scene.rng.u32(..total);
        let method = self.methods.iter().find(|method| {
            let hit = at < method.0;
            at = at.saturating_sub(method.0);
            hit
        });
        let method = if takeover { &self.takeover } else { method.context("no methods")? };
        for (name, template) in METHOD_VARS.iter().zip(&method.1) {
            let value = scene.text(template);
            scene.set(name, &value)?;
        }
        scene.render(&self.entry, out);
        Ok(())
    }
}

impl Stream for Log {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let count = self.scenes.len();
        let at = self.scenes[0].rng.usize(..count);
        let scene = &mut self.scenes[at];
        scene.begin(now_ms);
        let human = self.which != 2 && scene.rng.u8(..100) < 40;
        let email = match (self.which, human) {
            (2, _) => "system@google.com".to_owned(),
            (_, true) => scene.text(&self.person),
            (_, false) => scene.text(&self.account),
        };
        let address = scene.text(&self.addresses[usize::from(!human)]);
        let agent = scene.text(&self.agent);
        scene.set("email", &email)?;
        scene.set("address", &address)?;
        scene.set("agent", &agent)?;
        scene.set("human", if human { "1" } else { "" })?;
        let denied = self.which != 2 && scene.rng.u8(..100) < 5;
        scene.set("denied", if denied { "1" } else { "" })?;
        self.entry(at, false, out)
    }

    fn attack(&mut self, _step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let scene = &mut self.scenes[0];
        scene.begin(now_ms);
        scene.set("email", &self.story.person.email)?;
        scene.set("address", &self.story.ip)?;
        scene.set(
            "agent",
            "google-cloud-sdk gcloud/460.0.0 command/gcloud.projects.add-iam-policy-binding,gzip(gfe)",
        )?;
        scene.set("human", "1")?;
        scene.set("denied", "")?;
        self.entry(0, true, out)
    }
}
