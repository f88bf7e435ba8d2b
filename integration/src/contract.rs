//! The contract of [`Output`] as tests: every output, and every fake, runs [`keeps_contract`].
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, HashSet},
    sync::Mutex,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::output::{Delivered, Delivery, OutEvent, Output, OutputError};

/// 2024-05-06T07:08:09Z.
pub(crate) const COMMITTED_MS: i64 = 1_714_979_289_000;

/// An output under test, with a look at what its destination holds.
pub(crate) trait Subject {
    fn output(&self) -> &dyn Output;
    /// The documents at the destination in order, repeats it can recognise left out.
    fn received(&self) -> Vec<String>;
    /// Whether the destination recognises a repeat.
    fn drops_repeats(&self) -> bool {
        true
    }
}

pub(crate) fn events(worker: &str, seq: u64, count: usize) -> Vec<OutEvent> {
    let body = |n| format!(r#"{{"worker":"{worker}","seq":{seq},"n":{n},"text":"a\nb ü \" \\ {n:0>60}"}}"#);
    (0..count)
        .map(|n| OutEvent { id: format!("{seq:030}{n:010}"), time_ms: COMMITTED_MS, body: body(n).into() })
        .collect()
}

pub(crate) fn delivery<'a>(worker: &'a str, seq: u64, events: &'a [OutEvent]) -> Delivery<'a> {
    Delivery { worker, seq, committed_ms: COMMITTED_MS, events }
}

pub(crate) fn texts(events: &[OutEvent]) -> Vec<String> {
    events.iter().map(|e| String::from_utf8(e.body.to_vec()).unwrap()).collect()
}

/// Delivers as a lane does: again and again while the output says so. Sums nothing up: the last
/// `Ok` speaks for the whole delivery.
pub(crate) async fn lane(output: &dyn Output, delivery: &Delivery<'_>) -> Delivered {
    for _ in 0..500 {
        match output.deliver(delivery).await {
            Ok(done) => return done,
            Err(OutputError::Retry { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            Err(e) => panic!("{e}"),
        }
    }
    panic!("the output never delivered")
}

/// First occurrences only, in order.
pub(crate) fn distinct(lines: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    lines.iter().filter(|line| seen.insert(line.as_str())).cloned().collect()
}

pub(crate) async fn keeps_contract(subject: &dyn Subject, name: &str, secret: &str) {
    let output = subject.output();
    assert_eq!(output.name(), name);
    assert!(!format!("{output:?}").contains(secret), "a secret is printed");

    // Nothing is nothing.
    let done = output.deliver(&delivery("A", 1, &[])).await.unwrap();
    assert_eq!((done.events, done.bytes, done.rejected.len()), (0, 0, 0));
    assert_eq!(subject.received(), Vec::<String>::new());

    // A name that could leave its folder or split a header is refused before anything happens.
    let some = events("A", 1, 2500);
    for worker in ["", "../A", "a/b", "a\r\nb", "a b", "ü", &"a".repeat(65)] {
        let result = output.deliver(&delivery(worker, 1, &some)).await;
        assert!(matches!(result, Err(OutputError::Configuration { .. })), "worker `{worker}`");
    }
    assert_eq!(subject.received(), Vec::<String>::new());

    // Everything, in order, byte for byte.
    let done = output.deliver(&delivery("A", 1, &some)).await.unwrap();
    output.flush().await.unwrap();
    assert_eq!(done.events, 2500);
    assert_eq!(done.bytes, some.iter().map(|e| e.body.len() as u64).sum::<u64>());
    assert!(done.requests >= 1 && done.rejected.is_empty());
    assert_eq!(subject.received(), texts(&some));

    // A repeat is harmless: known and dropped, or at worst the same events once more.
    let again = output.deliver(&delivery("A", 1, &some)).await.unwrap();
    output.flush().await.unwrap();
    assert_eq!(again.events, 2500);
    if subject.drops_repeats() {
        assert_eq!(subject.received(), texts(&some));
    }
    assert_eq!(distinct(&subject.received()), texts(&some));

    // Workers do not disturb each other's order; a large document passes; equal documents both stay.
    let mut expected = BTreeMap::from([("A", texts(&some)), ("B", Vec::new())]);
    for seq in 2..6 {
        for worker in ["A", "B"] {
            let mut step = events(worker, seq, 7);
            let large = format!(r#"{{"worker":"{worker}","seq":{seq},"large":"{}"}}"#, "x".repeat(1_500_000));
            step[3].body = Bytes::from(large);
            let done = output.deliver(&delivery(worker, seq, &step)).await.unwrap();
            assert_eq!(done.events, 7);
            expected.get_mut(worker).unwrap().extend(texts(&step));
        }
    }
    output.flush().await.unwrap();
    let received = distinct(&subject.received());
    for (worker, expected) in expected {
        let mark = format!(r#"{{"worker":"{worker}""#);
        let got: Vec<_> = received.iter().filter(|line| line.starts_with(&mark)).cloned().collect();
        assert!(got == expected, "worker {worker}: {} of {} events", got.len(), expected.len());
    }
}

/// A destination in memory.
#[derive(Debug, Default)]
struct Fake {
    steps: Mutex<Vec<(String, Vec<String>)>>,
}

#[async_trait]
impl Output for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Delivered, OutputError> {
        let label = delivery.label()?;
        let mut steps = self.steps.lock().unwrap();
        match steps.iter_mut().find(|(known, _)| *known == label) {
            Some((_, lines)) => *lines = texts(delivery.events),
            None => steps.push((label, texts(delivery.events))),
        }
        let bytes = delivery.events.iter().map(|e| e.body.len() as u64).sum();
        let events = delivery.events.len() as u64;
        Ok(Delivered { events, bytes, requests: 1, rejected: Vec::new() })
    }
}

impl Subject for Fake {
    fn output(&self) -> &dyn Output {
        self
    }

    fn received(&self) -> Vec<String> {
        self.steps.lock().unwrap().iter().flat_map(|(_, lines)| lines.clone()).collect()
    }
}

#[tokio::test]
async fn fake_keeps_contract() {
    keeps_contract(&Fake::default(), "fake", "hunter2").await;
}
