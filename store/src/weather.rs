//! Bad network between a client and a server, for the tests of all providers.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::TryStreamExt as _;
use linchpin_config::{Place, Stores};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{connect, create_bucket};

/// What happens to one connection.
#[derive(Debug, Clone, Copy)]
enum Weather {
    /// The server asks for a second of patience.
    Throttled,
    /// It breaks after so many bytes of the answer.
    Breaks(u64),
}

/// How long nothing comes when a request is complete.
const QUIET: Duration = Duration::from_millis(100);
const THROTTLED: &[u8] =
    b"HTTP/1.1 503 Slow Down\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Passes connections on to `server`, the first ones through `plan`. Gives its own host and port.
async fn proxy(server: String, plan: &'static [Weather]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let weather = plan.get(count.fetch_add(1, Ordering::Relaxed)).copied();
            tokio::spawn(pass(client, server.clone(), weather));
        }
    });
    (address, seen)
}

async fn pass(mut client: TcpStream, server: String, weather: Option<Weather>) -> std::io::Result<()> {
    if matches!(weather, Some(Weather::Throttled)) {
        // The request has come when nothing more does.
        let mut piece = [0; 4096];
        while let Ok(read) = timeout(QUIET, client.read(&mut piece)).await {
            if read? == 0 {
                return Ok(());
            }
        }
        client.write_all(THROTTLED).await?;
        return client.shutdown().await;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let sending = tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
    let bytes = if let Some(Weather::Breaks(bytes)) = weather { bytes } else { u64::MAX };
    copy(&mut from_server.take(bytes), &mut to_client).await?;
    sending.abort();
    Ok(())
}

/// Whether a provider's SDK waits as long as a server asks it to.
pub(crate) struct WaitsAsAsked(pub(crate) bool);

/// Puts through throttles and reads through broken connections.
pub(crate) async fn check_weather(
    endpoint: &str,
    place: &Place,
    stores: impl Fn(&str) -> Stores,
    WaitsAsAsked(waits): WaitsAsAsked,
) {
    create_bucket(place, &stores(endpoint)).await.unwrap();
    let server = endpoint.trim_start_matches("http://").split('/').next().unwrap();
    let content: Bytes = (0..1_000_000).map(|i| (i % 251) as u8).collect::<Vec<_>>().into();

    let (address, seen) = proxy(server.to_owned(), &[Weather::Throttled, Weather::Throttled]).await;
    let store = connect(place, &stores(&endpoint.replace(server, &address))).await.unwrap();
    let start = Instant::now();
    store.put("through/throttles", content.slice(..1000)).await.unwrap();
    assert!(seen.load(Ordering::Relaxed) >= 3, "{seen:?}");
    assert!(!waits || start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());

    let direct = connect(place, &stores(endpoint)).await.unwrap();
    assert_eq!(direct.range("through/throttles", 0..2000).await.unwrap(), content.slice(..1000));
    direct.put("through/breaks", content.clone()).await.unwrap();
    let etag = direct.head("through/breaks").await.unwrap().etag;
    let (address, seen) =
        proxy(server.to_owned(), &[Weather::Breaks(300_000), Weather::Breaks(300_000)]).await;
    let store = connect(place, &stores(&endpoint.replace(server, &address))).await.unwrap();
    let read: Vec<Bytes> = store.open("through/breaks", &etag, 0).await.unwrap().try_collect().await.unwrap();
    assert!(read.concat() == content, "the bytes differ");
    assert!(seen.load(Ordering::Relaxed) >= 3, "{seen:?}");
}
