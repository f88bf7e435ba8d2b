#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::HashSet, time::Instant};

use super::*;
use crate::{
    batch::REFUSED_RUN_MAX,
    contract::{Subject, delivery, distinct, events, keeps_contract, lane, texts},
    server::{Answer, Server},
};

const TOKEN: &str = "hunter2-token";

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

fn quick() -> RetryPolicy {
    RetryPolicy {
        delay_base: Duration::from_millis(1),
        delay_max: Duration::from_millis(2),
        breaker_open: Duration::from_millis(2),
        ..RetryPolicy::default()
    }
}

fn config(server: &Server) -> HttpConfig {
    HttpConfig {
        token: Some(secret(TOKEN)),
        headers: vec![("X-Api-Key".to_owned(), secret("hunter2-key"))],
        batch: BatchLimits { bytes: 1 << 20, events: 100 },
        retry: quick(),
        ..HttpConfig::new(server.url())
    }
}

fn output(server: &Server) -> HttpOutput {
    HttpOutput::new("hook", config(server)).unwrap()
}

struct Hook(HttpOutput, Server);

impl Subject for Hook {
    fn output(&self) -> &dyn Output {
        &self.0
    }

    fn received(&self) -> Vec<String> {
        self.1.received()
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    for (framing, gzip) in [(Framing::Lines, true), (Framing::Array, false)] {
        let server = Server::scripted([]).await;
        let output = HttpOutput::new("hook", HttpConfig { framing, gzip, ..config(&server) }).unwrap();
        keeps_contract(&Hook(output, server), "hook", "hunter2").await;
    }
}

#[tokio::test]
async fn limits_and_headers_hold() {
    let server = Server::scripted([]).await;
    let some = events("A", 7, 250);
    let done = output(&server).deliver(&delivery("A", 7, &some)).await.unwrap();
    assert_eq!((done.events, done.requests), (250, 3));
    let seen = server.seen();
    let sizes: Vec<_> = seen.iter().map(|r| r.events().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    for (request, first) in seen.iter().zip([0, 100, 200]) {
        assert!(request.batch().starts_with(&format!("A-0000000007-{first}-")), "{}", request.batch());
        assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(request.headers["x-api-key"], "hunter2-key");
        assert_eq!(request.headers["content-encoding"], "gzip");
        assert_eq!(request.headers["content-type"], "application/x-ndjson");
    }
    let small = BatchLimits { bytes: 300, events: 100 };
    let output = HttpOutput::new("hook", HttpConfig { batch: small, ..config(&server) }).unwrap();
    output.deliver(&delivery("A", 8, &events("A", 8, 9))).await.map(drop).unwrap();
    assert!(server.seen()[3..].iter().all(|r| r.body.len() <= 300));
}

#[tokio::test]
async fn passing_faults_lose_and_reorder_nothing() {
    let busy = |after: &str| Answer::Status(429, vec![("Retry-After", after.to_owned())], String::new());
    let scripts: [(&str, Vec<Answer>); 7] = [
        ("503", vec![Answer::status(200), Answer::status(503), Answer::status(500)]),
        ("429", vec![busy("0"), busy("Sun, 06 Nov 1994 08:49:37 GMT"), busy("soon")]),
        ("reset", vec![Answer::Reset, Answer::status(200), Answer::Reset]),
        ("unknown outcome", vec![Answer::TakeThenReset, Answer::TakeThenReset]),
        ("slow", vec![Answer::Slow(Duration::from_millis(400)), Answer::status(200)]),
        ("413", vec![Answer::status(413), Answer::status(413), Answer::status(200), Answer::status(413)]),
        ("all", vec![Answer::status(413), Answer::status(408), Answer::TakeThenReset, Answer::status(502)]),
    ];
    for (name, script) in scripts {
        let server = Server::scripted(script).await;
        let timeout = Duration::from_millis(200);
        let output = HttpOutput::new("hook", HttpConfig { timeout, ..config(&server) }).unwrap();
        let some = events("A", 1, 350);
        let done = lane(&output, &delivery("A", 1, &some)).await;
        assert_eq!((done.events, done.rejected.len()), (350, 0), "{name}");
        assert!(server.received() == texts(&some), "{name}: lost, doubled or reordered");
    }
}

#[tokio::test]
async fn random_faults_lose_and_reorder_nothing() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let script: Vec<_> = (0..40)
            .map(|_| match random.u8(0..8) {
                0 => Answer::status(503),
                1 => Answer::Status(429, vec![("retry-after", "0".to_owned())], "busy".to_owned()),
                2 => Answer::Reset,
                3 => Answer::TakeThenReset,
                4 => Answer::status(413),
                _ => Answer::status(200),
            })
            .collect();
        let poison = |text: &str| text.contains(r#""n":17,"#) || text.contains(r#""n":230,"#);
        let server = Server::start(script, move |request| {
            if request.events().iter().any(|e| poison(e)) { Answer::status(400) } else { Answer::status(200) }
        })
        .await;
        let output = output(&server);
        for seq in 1..4 {
            let step = events("A", seq, 300);
            let done = lane(&output, &delivery("A", seq, &step)).await;
            assert_eq!(done.events as usize + done.rejected.len(), 300, "seed {seed}");
            // What the script took with a 200 may hold a poisonous event; what was refused is named.
            let refused: Vec<_> = done.rejected.iter().map(|r| step[r.index].id.clone()).collect();
            assert!(done.rejected.iter().all(|r| r.id == step[r.index].id), "seed {seed}");
            assert!(done.rejected.iter().all(|r| r.reason.contains(" answered 4")), "seed {seed}");
            let received: HashSet<_> = server.received().into_iter().collect();
            for (event, text) in step.iter().zip(texts(&step)) {
                let there = received.contains(&text);
                assert!(there || refused.contains(&event.id), "seed {seed}: `{}` is lost", event.id);
                assert!(poison(&text) || there, "seed {seed}: `{}` was given up", event.id);
            }
        }
        let received = distinct(&server.received());
        let place = |line: &String| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            (value["seq"].as_u64(), value["n"].as_u64())
        };
        assert!(received.iter().map(place).is_sorted(), "seed {seed}: reordered");
    }
}

#[tokio::test]
async fn poison_is_isolated_with_its_reason() {
    let server = Server::start([], |request| {
        if request.body.contains(r#""n":42,"#) {
            Answer::Status(400, Vec::new(), format!("bad field\n\u{1b}[31m, key {TOKEN}"))
        } else {
            Answer::status(202)
        }
    })
    .await;
    let some = events("A", 1, 300);
    let done = output(&server).deliver(&delivery("A", 1, &some)).await.unwrap();
    assert_eq!(done.events, 299);
    let [rejected] = &done.rejected[..] else { panic!("{:?}", done.rejected) };
    assert_eq!((rejected.index, &rejected.id), (42, &some[42].id));
    let origin = net::origin(&server.url());
    assert_eq!(rejected.reason, format!("`{origin}` answered 400 Bad Request: bad field [31m, key ***"));
    let mut expected = texts(&some);
    expected.remove(42);
    assert_eq!(server.received(), expected);
    assert!(done.requests < 20, "{} requests for one bad event", done.requests);
}

#[tokio::test]
async fn one_event_that_is_too_large_is_rejected_alone() {
    let server = Server::start([], |r| Answer::status(if r.body.len() > 5000 { 413 } else { 200 })).await;
    let mut some = events("A", 1, 120);
    some[60].body = format!("\"{}\"", "x".repeat(6000)).into();
    let output = output(&server);
    let done = output.deliver(&delivery("A", 1, &some)).await.unwrap();
    assert_eq!((done.events, done.rejected.len(), done.rejected[0].index), (119, 1, 60));
    assert!(done.rejected[0].reason.contains("413"));
    some.remove(60);
    assert_eq!(server.received(), texts(&some));
}

#[tokio::test]
async fn the_size_a_destination_takes_is_learned() {
    let server = Server::start([], |r| Answer::status(if r.body.len() > 40_000 { 413 } else { 200 })).await;
    let batch = BatchLimits { bytes: 150_000, events: 10_000 };
    let output = HttpOutput::new("hook", HttpConfig { batch, ..config(&server) }).unwrap();
    let some = events("A", 1, 2000);
    let first = output.deliver(&delivery("A", 1, &some)).await.unwrap();
    let second = output.deliver(&delivery("A", 2, &some)).await.unwrap();
    assert!(first.requests > second.requests, "{} then {}", first.requests, second.requests);
    let tail = server.seen().split_off(first.requests as usize);
    assert!(tail.iter().all(|r| r.body.len() <= 40_000), "a size that was refused was tried again");
}

#[tokio::test]
async fn wrong_credentials_and_endpoints_stop_at_once() {
    let unauthorized: &[u16] = &[401, 403, 407];
    for status in [401, 403, 407, 301, 302, 307, 404, 405, 409, 410] {
        let answer = Answer::Status(status, vec![("Location", "http://192.0.2.1/".to_owned())], TOKEN.into());
        let server = Server::start([], move |_| answer.clone()).await;
        let error = output(&server).deliver(&delivery("A", 1, &events("A", 1, 5))).await.unwrap_err();
        match &error {
            OutputError::Unauthorized { .. } => assert!(unauthorized.contains(&status), "{status}"),
            OutputError::Configuration { .. } => assert!(!unauthorized.contains(&status), "{status}"),
            OutputError::Retry { .. } => panic!("{status} was repeated"),
        }
        assert!(error.to_string().contains(&status.to_string()));
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_everything_stops_the_output() {
    let server = Server::start([], |_| Answer::status(400)).await;
    let some = events("A", 1, REFUSED_RUN_MAX + 50);
    let error = output(&server).deliver(&delivery("A", 1, &some)).await.unwrap_err();
    assert!(matches!(error, OutputError::Configuration { .. }), "{error}");
    // Fewer bad events than that are only bad events.
    let few = output(&server).deliver(&delivery("A", 2, &some[..REFUSED_RUN_MAX - 1])).await.unwrap();
    assert_eq!((few.events, few.rejected.len()), (0, REFUSED_RUN_MAX - 1));
}

#[tokio::test]
async fn attempts_end_and_the_circuit_opens() {
    let server = Server::start([], |_| Answer::status(503)).await;
    let retry = RetryPolicy { breaker_open: Duration::from_mins(1), ..quick() };
    let output = HttpOutput::new("hook", HttpConfig { retry, ..config(&server) }).unwrap();
    let some = events("A", 1, 5);
    let first = output.deliver(&delivery("A", 1, &some)).await.unwrap_err();
    assert!(first.to_string().contains("503"), "{first}");
    assert_eq!(server.seen().len(), 5);
    let names: Vec<_> = server.seen().iter().map(|r| r.batch().to_owned()).collect();
    assert!(names.iter().all(|name| *name == names[0]), "a repeat changed its name");
    let second = output.deliver(&delivery("A", 1, &some)).await.unwrap_err();
    let OutputError::Retry { after: Some(wait), .. } = second else { panic!("{second}") };
    assert!(wait > Duration::from_secs(50));
    assert_eq!(server.seen().len(), 5, "an open circuit sent something");
}

#[tokio::test]
async fn retry_after_is_obeyed_and_handed_on() {
    let busy = |after: &str| Answer::Status(429, vec![("Retry-After", after.to_owned())], String::new());
    let server = Server::scripted([busy("1"), Answer::status(200), busy("3600")]).await;
    let output = output(&server);
    let started = Instant::now();
    output.deliver(&delivery("A", 1, &events("A", 1, 5))).await.map(drop).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    // Longer than one call may last: the lane gets it.
    let error = output.deliver(&delivery("A", 2, &events("A", 2, 5))).await.unwrap_err();
    let OutputError::Retry { after, .. } = error else { panic!("{error}") };
    assert_eq!(after, Some(crate::retry::RETRY_AFTER_MAX));
}

#[tokio::test]
async fn a_destination_that_is_down_is_a_retry_without_secrets() {
    let server = Server::scripted([]).await;
    let mut url = server.url();
    // Nobody listens on a port that was bound and given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    url.set_port(Some(free)).unwrap();
    for scheme in ["http", "https"] {
        let mut config = HttpConfig { url: url.clone(), ..config(&server) };
        config.url.set_scheme(scheme).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let output = HttpOutput::new("hook", config).unwrap();
        let error = output.deliver(&delivery("A", 1, &events("A", 1, 5))).await.unwrap_err();
        assert!(matches!(error, OutputError::Retry { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn bad_configurations_are_named_without_their_secrets() {
    let server = Server::scripted([]).await;
    let with_url = |url: &str| HttpConfig { url: url.parse().unwrap(), ..config(&server) };
    let with_header = |name: &str, value: &str| HttpConfig {
        headers: vec![(name.to_owned(), secret(value))],
        ..config(&server)
    };
    let cases = [
        (with_url("ftp://example.com/"), "must start with"),
        (with_url("https://u:hunter2@example.com/"), "holds credentials"),
        (with_url("http://169.254.169.254/latest/"), "`169.254.169.254` is a link-local"),
        (with_url("http://[::ffff:169.254.169.254]/"), "link-local"),
        (with_header("host", "hunter2"), "header `host` cannot be set"),
        (with_header("X-Linchpin-Batch", "hunter2"), "cannot be set"),
        (with_header("a b", "hunter2"), "cannot be set"),
        (with_header("x-key", "hunter2\n"), "value of `x-key` is not allowed"),
        (HttpConfig { token: Some(secret("hunter2\n")), ..config(&server) }, "value of `token`"),
    ];
    for (config, expected) in cases {
        let error = HttpOutput::new("hook", config).map(drop).unwrap_err();
        assert!(matches!(error, OutputError::Configuration { .. }));
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let opted_in = HttpConfig { allow_link_local: true, ..with_url("http://169.254.1.1/") };
    assert!(HttpOutput::new("hook", opted_in).is_ok());
}
