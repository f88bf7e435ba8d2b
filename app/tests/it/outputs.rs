//! A receiver that fails, hangs or is not there costs time, never an event.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    lake::{Lake, Settings, multiset},
    logs,
};

const FILES: u64 = 6;
const RECORDS: u64 = 40;
/// More events are in an epoch than in a request.
const BATCH: u64 = 16;
const PATIENCE: Duration = Duration::from_mins(2);

/// What a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accept,
    /// 503, with the events thrown away.
    Unavailable,
    /// Accept so many requests, then never answer.
    Hang {
        after: usize,
    },
}

/// A request: the batch's name, and the ids of its events in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    batch: String,
    ids: Vec<String>,
}

/// What a receiver has seen.
struct Seen {
    answer: Answer,
    accepted: Vec<Request>,
    /// Requests without an answer, or with a bad one.
    failed: usize,
}

/// An HTTP receiver on loopback. It ends with the test's process.
#[derive(Clone)]
struct Receiver {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Receiver {
    fn new(answer: Answer) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    fn at(listener: TcpListener, answer: Answer) -> Self {
        let seen = Arc::new(Mutex::new(Seen { answer, accepted: Vec::new(), failed: 0 }));
        let receiver = Self { port: listener.local_addr().unwrap().port(), seen };
        let serving = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let receiver = serving.clone();
                thread::spawn(move || receiver.serve(&stream.unwrap()));
            }
        });
        receiver
    }

    /// Answers one request after the other on a connection.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut headers, mut line) = (BTreeMap::new(), String::new());
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            loop {
                line.clear();
                reader.read_line(&mut line).ok()?;
                let Some((name, value)) = line.split_once(':') else { break };
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            reader.read_exact(&mut body).ok()?;
            let answer = self.note(&headers["x-linchpin-batch"], &body);
            let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            (&mut &*stream).write_all(text.as_bytes()).ok()?;
        }
    }

    /// Keeps a request and says what to answer; where that is nothing, waits for ever.
    fn note(&self, batch: &str, body: &[u8]) -> &'static str {
        let mut text = String::new();
        GzDecoder::new(body).read_to_string(&mut text).unwrap();
        let id = |line: &str| {
            let document: Value = serde_json::from_str(line).unwrap();
            document["metadata"]["uid"].as_str().unwrap().to_owned()
        };
        let request = Request { batch: batch.to_owned(), ids: text.lines().map(id).collect() };
        let mut seen = self.seen.lock().unwrap();
        let answer = match seen.answer {
            Answer::Accept => "204 No Content",
            Answer::Hang { after } if seen.accepted.len() < after => "204 No Content",
            Answer::Unavailable => "503 Service Unavailable",
            Answer::Hang { .. } => {
                seen.failed += 1;
                drop(seen);
                loop {
                    thread::park();
                }
            }
        };
        if answer.starts_with('2') {
            seen.accepted.push(request);
        } else {
            seen.failed += 1;
        }
        answer
    }

    fn answers(&self, answer: Answer) {
        self.seen.lock().unwrap().answer = answer;
    }

    /// Accepted requests, those that repeat an earlier name left out.
    fn accepted(&self) -> Vec<Request> {
        let mut known = BTreeMap::new();
        let mut fresh = Vec::new();
        for request in self.seen.lock().unwrap().accepted.iter().cloned() {
            match known.insert(request.batch.clone(), request.ids.clone()) {
                None => fresh.push(request),
                Some(ids) => assert_eq!(ids, request.ids, "one name for different events"),
            }
        }
        fresh
    }

    /// Every record came once, and each worker's requests in its order.
    fn has_all_in_order(&self) {
        let accepted = self.accepted();
        let ids = multiset(accepted.iter().flat_map(|request| request.ids.iter().cloned()));
        let missing = (0..FILES * RECORDS).map(logs::event_id).filter(|id| !ids.contains_key(id)).count();
        assert_eq!((ids.len() as u64, missing), (FILES * RECORDS, 0));
        assert!(ids.values().all(|n| *n == 1), "an event came in two batches");
        let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for request in &accepted {
            let parts: Vec<&str> = request.batch.split('-').collect();
            let at = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
            let before = last.insert(parts[0].to_owned(), at);
            assert!(before.is_none_or(|before| before < at), "{} came after {before:?}", request.batch);
        }
    }
}

struct Scene {
    _root: TempDir,
    lake: Lake,
}

impl Scene {
    fn new(port: u16, other: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let logs = root.path().join("logs");
        logs::write_trails(&logs, 0, FILES, RECORDS);
        let http = format!("{{ url: \"http://127.0.0.1:{port}/in\", batch: {{ events: {BATCH} }} }}");
        let outputs = format!("[ {{ name: siem, to: {{ http: {http} }} }}{other} ]");
        let lake = Lake::new(
            root.path().join("lake"),
            &[("logs", Path::new(&logs))],
            Settings { outputs: &outputs, ..Settings::default() },
        );
        Self { _root: root, lake }
    }

    /// A run while the receiver is down fails because of the environment, and keeps everything.
    fn fails(&self) {
        let ran = self.lake.call("run", &["--once", "--json"]);
        assert_eq!(ran.code, Some(3), "{}", ran.err);
        let error = ran.err.lines().last().unwrap();
        let parts = ["error: ", "is safe", "the next run goes on", "output `siem`: `http://127.0.0.1:"];
        assert!(parts.iter().all(|part| error.contains(part)), "{}", ran.err);
        assert_eq!(self.lake.event_ids().len() as u64, FILES * RECORDS);
    }
}

/// Starts a worker and kills it when its first request that nobody answers has come.
fn killed_while_it_hangs(scene: &Scene, receiver: &Receiver) {
    let mut worker = scene.lake.start();
    let began = Instant::now();
    while receiver.seen.lock().unwrap().failed == 0 {
        assert!(began.elapsed() < PATIENCE && worker.try_wait().unwrap().is_none(), "nothing hangs");
        thread::sleep(Duration::from_millis(5));
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
}

/// A dead worker leaves two outputs behind, the first of them still down.
#[test]
fn a_receiver_that_is_unavailable_holds_up_no_other_and_gets_everything_later() {
    let receiver = Receiver::new(Answer::Hang { after: 0 });
    let scene = Scene::new(receiver.port, ", { name: files, to: { ndjson: ./out } }");
    killed_while_it_hangs(&scene, &receiver);
    receiver.answers(Answer::Unavailable);
    scene.fails();
    assert_eq!(receiver.accepted(), []);
    let lines = |file: &PathBuf| fs::read_to_string(file).unwrap().lines().count() as u64;
    assert_eq!(scene.lake.files("out").iter().map(lines).sum::<u64>(), FILES * RECORDS);
    receiver.answers(Answer::Accept);
    assert_eq!(scene.lake.drain().units, 0);
    receiver.has_all_in_order();
    let before = receiver.accepted().len();
    scene.lake.drain();
    assert_eq!(receiver.accepted().len(), before);
}

#[test]
fn a_receiver_that_was_not_there_gets_everything_later() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let scene = Scene::new(address.port(), "");
    scene.fails();
    let receiver = Receiver::at(TcpListener::bind(address).unwrap(), Answer::Accept);
    scene.lake.drain();
    receiver.has_all_in_order();
}

/// The first `accepted` requests are taken, the next one hangs until its worker is killed.
fn is_taken_over(accepted: usize) {
    let receiver = Receiver::new(Answer::Hang { after: accepted });
    let scene = Scene::new(receiver.port, "");
    killed_while_it_hangs(&scene, &receiver);
    receiver.answers(Answer::Accept);
    scene.lake.drain();
    receiver.has_all_in_order();
    assert_eq!(scene.lake.event_ids().len() as u64, FILES * RECORDS);
}

#[test]
fn the_lane_of_a_dead_worker_is_taken_over() {
    is_taken_over(0);
}

/// What was accepted before the crash comes again under the same names, or not at all.
#[test]
fn a_step_that_was_half_delivered_is_repeated_as_it_was() {
    is_taken_over(2);
}
