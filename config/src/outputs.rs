//! Outputs: where events go.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::checks::Checks;
use crate::entries::Entries;
use crate::located::Located;
use crate::place::local;
use crate::secret::{SecretRef, TextOrSecret, literal};
use crate::values::{ByteSize, DurationText, HttpUrl, Name, scalars};
use crate::yaml::Fault;

/// How long the archive waits for an output by default before it moves what the output still needs.
const MAX_LAG: DurationText = DurationText::from_days(3);

/// Headers that carry credentials by their nature.
const SECRET_HEADERS: &[&str] =
    &["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"];

/// One receiver of events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Name of the output, unique.
    pub name: Located<Name>,
    /// SQL predicate over the linchpin columns; every event when left out.
    pub when: Option<Located<String>>,
    /// What an event looks like.
    #[serde(default)]
    pub shape: Shape,
    /// Until then nothing that the output still needs is moved to a tier without instant reads.
    #[serde(default = "max_lag")]
    pub max_lag: DurationText,
    /// Where the events go.
    pub to: OutputTo,
}

fn max_lag() -> DurationText {
    MAX_LAG
}

/// What an event looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Open Cybersecurity Schema Framework.
    #[default]
    Ocsf,
    /// Elastic Common Schema.
    Ecs,
    /// Splunk Common Information Model.
    Cim,
    /// Google Unified Data Model.
    Udm,
    /// Microsoft Advanced Security Information Model.
    Asim,
    /// Common Event Format.
    Cef,
    /// Log Event Extended Format.
    Leef,
    /// The raw bytes.
    Raw,
}

/// A receiver: one variant and one struct each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputTo {
    /// JSON lines in files of a folder, or on `stdout`.
    Ndjson(NdjsonTarget),
    /// Batches of JSON lines to any HTTP server.
    Http(HttpOutput),
    /// HTTP Event Collector of Splunk.
    SplunkHec(SplunkHecOutput),
}

/// Where JSON lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NdjsonTarget {
    /// The standard output; a folder of that name is written `./stdout`.
    Stdout,
    /// Files in a folder.
    Folder(std::path::PathBuf),
}

impl NdjsonTarget {
    fn parse(text: &str) -> Result<Self, Fault> {
        if text == "stdout" { Ok(Self::Stdout) } else { local(text).map(Self::Folder) }
    }
}

scalars! {
    NdjsonTarget, Self::Stdout, {
        "type": "string", "minLength": 1,
        "description": "a folder of this machine, or `stdout`"
    };
}

/// Any HTTP server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpOutput {
    /// Address that batches are posted to.
    pub url: HttpUrl,
    /// Headers of every request.
    #[serde(default)]
    pub headers: Entries<String, Located<TextOrSecret>>,
    /// Bearer token.
    pub token: Option<SecretRef>,
    /// How much goes into one request.
    #[serde(default)]
    pub batch: Batch,
}

/// HTTP Event Collector of Splunk.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplunkHecOutput {
    /// Address of the collector, without a path.
    pub url: HttpUrl,
    /// Token of the collector.
    pub token: SecretRef,
    /// How much goes into one request.
    #[serde(default)]
    pub batch: Batch,
}

/// A batch is sent when it reaches any of these.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Most events in one request.
    pub events: std::num::NonZeroU32,
    /// Most bytes in one request, before compression.
    pub bytes: ByteSize,
    /// Longest wait for more events.
    pub age: DurationText,
}

impl Default for Batch {
    fn default() -> Self {
        const EVENTS: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(999);
        Self { events: EVENTS, bytes: ByteSize(1 << 20), age: DurationText::from_secs(1) }
    }
}

/// Names are unique, predicates have text, credentials are given by reference.
pub(crate) fn check(outputs: &[Output], checks: &mut Checks<'_>) {
    checks.unique("output", outputs.iter().map(|output| (output.name.value.as_str(), output.name.span)));
    for output in outputs {
        checks.predicate(output.when.as_ref());
        let OutputTo::Http(http) = &output.to else { continue };
        for (header, value) in &http.headers {
            let secret = SECRET_HEADERS.contains(&header.value.to_lowercase().as_str());
            if secret && matches!(value.value, TextOrSecret::Text(_)) {
                checks.source.hide(value.span.line);
                checks.fault(value.span, literal());
            }
        }
    }
}

impl Output {
    /// The local folder it writes to, if it does.
    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        match &self.to {
            OutputTo::Ndjson(NdjsonTarget::Folder(folder)) => Some(folder),
            _ => None,
        }
    }
}
