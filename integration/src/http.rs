//! `http`: batches of NDJSON (or JSON arrays) by POST to any URL.
//!
//! A 2xx answer means accepted. Each request names its content in [`BATCH_HEADER`] as
//! `<worker>-<seq>-<index of its first event>-<hash of its body>`: a repeat of the same bytes carries
//! the same name, different bytes never do, so a receiver drops repeats by remembering names. What
//! other answers mean is the table in [`crate::retry`].

use std::{
    fmt,
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use linchpin_config::{Located, OutputTo, Secret, SecretRef, TextOrSecret};
use reqwest::{
    Client, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    },
};
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    batch::{BatchLimits, Batcher, Post, Verdict},
    net,
    output::{Delivered, Delivery, OutEvent, Output, OutputError},
    retry::{Decision, Retry, RetryPolicy, retry_after},
};

/// Header that names a request's content.
pub const BATCH_HEADER: &str = "x-linchpin-batch";
/// Most characters of an answer's text in a reason.
pub const REASON_CHARS_MAX: usize = 300;
/// Logs shrink about tenfold already at a low level, at little CPU.
const GZIP_LEVEL: u32 = 3;

/// Headers that only the output itself may set.
const OWN_HEADERS: &[&str] =
    &["connection", "content-encoding", "content-length", "host", "transfer-encoding", BATCH_HEADER];

/// How the events of a request are put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// One object a line, `application/x-ndjson`.
    #[default]
    Lines,
    /// One JSON array, `application/json`.
    Array,
}

impl Framing {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Lines => "application/x-ndjson",
            Self::Array => "application/json",
        })
    }

    fn encode(self, events: &[OutEvent]) -> Vec<u8> {
        let mut body = Vec::with_capacity(events.iter().map(|e| e.body.len() + 1).sum::<usize>() + 1);
        for (n, event) in events.iter().enumerate() {
            match (self, n) {
                (Self::Lines, _) => {}
                (Self::Array, 0) => body.push(b'['),
                (Self::Array, _) => body.push(b','),
            }
            body.extend_from_slice(&event.body);
            if self == Self::Lines {
                body.push(b'\n');
            }
        }
        if self == Self::Array {
            body.push(b']');
        }
        body
    }
}

/// What an `http` output needs to know.
#[derive(Clone)]
pub struct HttpConfig {
    /// Where to POST; `http` or `https`.
    pub url: Url,
    /// Sent as `Authorization: Bearer <token>`.
    pub token: Option<Secret>,
    /// Further headers; their values are treated as secrets.
    pub headers: Vec<(String, Secret)>,
    /// Limits of one request.
    pub batch: BatchLimits,
    /// How events are put together.
    pub framing: Framing,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// Whether link-local and metadata addresses may be reached.
    pub allow_link_local: bool,
    /// Longest time for one request and its answer.
    pub timeout: Duration,
    /// When and how often to try again.
    pub retry: RetryPolicy,
}

impl HttpConfig {
    /// The defaults for a URL: no token, gzip, lines, all limits as named in this crate.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            token: None,
            headers: Vec::new(),
            batch: BatchLimits::default(),
            framing: Framing::default(),
            gzip: true,
            allow_link_local: false,
            timeout: net::REQUEST_TIME_MAX,
            retry: RetryPolicy::default(),
        }
    }
}

impl TryFrom<&linchpin_config::HttpOutput> for HttpConfig {
    type Error = OutputError;

    /// Reads the secrets from where the settings say they are.
    fn try_from(settings: &linchpin_config::HttpOutput) -> Result<Self, OutputError> {
        let url = settings.url.as_str();
        let url = Url::parse(url).map_err(|e| OutputError::configuration(format!("url is not one: {e}")))?;
        let secret = |reference: &SecretRef| {
            reference.resolve().map_err(|e| OutputError::configuration(e.to_string()))
        };
        let header = |(name, value): &(Located<String>, Located<TextOrSecret>)| {
            let value = match &value.value {
                TextOrSecret::Text(text) => Secret::from(text.clone()),
                TextOrSecret::Secret(reference) => secret(reference)?,
            };
            Ok((name.value.clone(), value))
        };
        Ok(Self {
            token: settings.token.as_ref().map(secret).transpose()?,
            headers: settings.headers.iter().map(header).collect::<Result<_, OutputError>>()?,
            batch: BatchLimits {
                bytes: settings.batch.bytes.0 as usize,
                events: settings.batch.events.get() as usize,
            },
            ..Self::new(url)
        })
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig").field("url", &net::origin(&self.url)).finish_non_exhaustive()
    }
}

/// The `http` output.
pub struct HttpOutput {
    name: String,
    endpoint: Endpoint,
    batcher: Batcher,
}

impl HttpOutput {
    /// Checks the configuration and makes the client; connects to nothing yet.
    pub fn new(name: impl Into<String>, config: HttpConfig) -> Result<Self, OutputError> {
        net::check_url(&config.url, config.allow_link_local)?;
        let headers = headers(&config)?;
        let secrets = config.headers.into_iter().map(|(_, value)| value).chain(config.token).collect();
        let endpoint = Endpoint {
            client: net::client(config.allow_link_local, config.timeout)?,
            url: config.url,
            headers,
            secrets,
            framing: config.framing,
            gzip: config.gzip,
            retry: Retry::new(config.retry),
        };
        Ok(Self { name: name.into(), endpoint, batcher: Batcher::new(config.batch) })
    }
}

/// Row of [`crate::OUTPUTS`].
pub(crate) fn build(name: &str, to: &OutputTo) -> Option<Result<Arc<dyn Output>, OutputError>> {
    let OutputTo::Http(settings) = to else { return None };
    let output = HttpConfig::try_from(settings).and_then(|config| HttpOutput::new(name, config));
    Some(output.map(|output| Arc::new(output) as Arc<dyn Output>))
}

impl fmt::Debug for HttpOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOutput")
            .field("name", &self.name)
            .field("url", &net::origin(&self.endpoint.url))
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Output for HttpOutput {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Delivered, OutputError> {
        self.batcher.deliver(delivery, &self.endpoint).await
    }
}

/// Where requests go and how they look.
struct Endpoint {
    client: Client,
    url: Url,
    headers: HeaderMap,
    secrets: Vec<Secret>,
    framing: Framing,
    gzip: bool,
    retry: Retry,
}

#[async_trait]
impl Post for Endpoint {
    async fn post(
        &self,
        label: &str,
        first: usize,
        events: &[OutEvent],
    ) -> Result<(Verdict, u32), OutputError> {
        let body = self.framing.encode(events);
        let batch = format!("{label}-{first}-{:016x}", xxh3_64(&body));
        let batch = HeaderValue::try_from(batch).map_err(|e| OutputError::configuration(e.to_string()))?;
        let body = if self.gzip { compress(body).await? } else { Bytes::from(body) };
        self.retry.run(|| self.attempt(batch.clone(), body.clone())).await
    }
}

impl Endpoint {
    async fn attempt(&self, batch: HeaderValue, body: Bytes) -> Result<Verdict, OutputError> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let answer = request
            .header(BATCH_HEADER, batch)
            .body(body)
            .send()
            .await
            .map_err(|e| net::request_error(&self.url, e))?;
        let status = answer.status();
        let after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, Timestamp::now()));
        // The body is read in any case, so that the connection can be used again.
        let text = net::read_answer(answer).await;
        let reason = || self.reason(status, &text);
        match Decision::of_status(status.as_u16()) {
            Decision::Accepted => Ok(Verdict::Accepted),
            Decision::TooLarge => Ok(Verdict::TooLarge(reason())),
            Decision::Refused => Ok(Verdict::Refused(reason())),
            Decision::Retry => Err(OutputError::Retry { reason: reason(), after }),
            Decision::Unauthorized => Err(OutputError::Unauthorized { reason: reason() }),
            Decision::Configuration => Err(OutputError::configuration(reason())),
        }
    }

    /// Status and start of the text of an answer; an echoed secret is masked.
    fn reason(&self, status: StatusCode, text: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(text).into_owned();
        for secret in self.secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "***");
        }
        let text: String =
            text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(REASON_CHARS_MAX).collect();
        let text = text.replace(char::is_control, "");
        let colon = if text.is_empty() { "" } else { ": " };
        format!("`{}` answered {status}{colon}{text}", net::origin(&self.url))
    }
}

/// The headers of every request: type, encoding, token and the configured ones.
fn headers(config: &HttpConfig) -> Result<HeaderMap, OutputError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, config.framing.content_type());
    if config.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(token) = &config.token {
        headers.insert(AUTHORIZATION, sensitive("token", &format!("Bearer {}", token.expose()))?);
    }
    for (name, value) in &config.headers {
        let key = HeaderName::try_from(name)
            .ok()
            .filter(|key| !OWN_HEADERS.contains(&key.as_str()))
            .ok_or_else(|| OutputError::configuration(format!("header `{name}` cannot be set")))?;
        headers.insert(key, sensitive(name, value.expose())?);
    }
    Ok(headers)
}

/// A header value that no Debug prints.
fn sensitive(name: &str, value: &str) -> Result<HeaderValue, OutputError> {
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        OutputError::configuration(format!(
            "value of `{name}` is not allowed in a header\nhint: look for a line break at its end"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Compresses on a blocking thread: megabytes would hold up the other tasks.
async fn compress(body: Vec<u8>) -> Result<Bytes, OutputError> {
    let work = move || -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::new(GZIP_LEVEL));
        encoder.write_all(&body)?;
        encoder.finish()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(packed)) => Ok(packed.into()),
        Ok(Err(e)) => Err(OutputError::retry(format!("gzip failed: {e}"))),
        Err(e) => Err(OutputError::retry(format!("gzip failed: {e}"))),
    }
}

#[cfg(test)]
mod tests;
