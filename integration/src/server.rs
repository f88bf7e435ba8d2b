//! A scripted HTTP server on the loopback interface, for tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt::Write as _,
    io::Read as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use flate2::read::GzDecoder;
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A status with further headers and a body; 2xx takes the events.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Waits, then takes the events.
    Slow(Duration),
    /// Closes the connection without an answer; the events are not taken.
    Reset,
    /// Takes the events, then closes the connection: the sender cannot know.
    TakeThenReset,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), String::new())
    }
}

/// A request as it came, its body inflated.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn batch(&self) -> &str {
        &self.headers["x-linchpin-batch"]
    }

    pub(crate) fn events(&self) -> Vec<String> {
        if self.headers["content-type"] == "application/json" {
            let elements: Vec<Box<RawValue>> = serde_json::from_str(&self.body).unwrap();
            return elements.iter().map(|e| e.get().to_owned()).collect();
        }
        assert!(self.body.ends_with('\n'));
        self.body.lines().map(str::to_owned).collect()
    }
}

type Rule = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

struct State {
    script: Mutex<VecDeque<Answer>>,
    rule: Rule,
    seen: Mutex<Vec<Request>>,
    taken: Mutex<Vec<Request>>,
}

/// Answers by its script first, then by its rule.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

impl Server {
    /// A server that takes everything after its script.
    pub(crate) async fn scripted(script: impl IntoIterator<Item = Answer>) -> Self {
        Self::start(script, |_| Answer::status(200)).await
    }

    pub(crate) async fn start(
        script: impl IntoIterator<Item = Answer>,
        rule: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            rule: Box::new(rule),
            seen: Mutex::default(),
            taken: Mutex::default(),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}/ingest?key=hunter2", self.address).parse().unwrap()
    }

    /// Every request, in order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Events taken, requests with a known name left out, as a receiver would.
    pub(crate) fn received(&self) -> Vec<String> {
        let mut names = HashSet::new();
        let taken = self.state.taken.lock().unwrap();
        taken.iter().filter(|r| names.insert(r.batch().to_owned())).flat_map(Request::events).collect()
    }
}

/// Serves one connection until it ends; a connection that breaks off is the client's affair.
async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        state.seen.lock().unwrap().push(request.clone());
        let answer = state.script.lock().unwrap().pop_front();
        let answer = answer.unwrap_or_else(|| (state.rule)(&request));
        let take = || state.taken.lock().unwrap().push(request.clone());
        let (status, headers, body) = match answer {
            Answer::Status(status, headers, body) => (status, headers, body),
            Answer::Slow(wait) => {
                tokio::time::sleep(wait).await;
                (200, Vec::new(), String::new())
            }
            Answer::Reset => return,
            Answer::TakeThenReset => {
                take();
                return;
            }
        };
        if (200..300).contains(&status) {
            take();
        }
        let mut head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes()).await;
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
    assert!(line.starts_with("POST /ingest?key=hunter2 HTTP/1.1"), "{line}");
    let mut headers = HashMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    if headers.get("content-encoding").is_some_and(|e| e == "gzip") {
        let mut inflated = Vec::new();
        GzDecoder::new(&body[..]).read_to_end(&mut inflated).unwrap();
        body = inflated;
    }
    Some(Request { headers, body: String::from_utf8(body).unwrap() })
}
