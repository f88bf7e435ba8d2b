//! What every request to Azure goes through, beyond what the SDK does by itself.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::{
    base64,
    error::{Error, ErrorKind},
    http::{
        Body, Context, Method, Request, StatusCode,
        headers::{HeaderName, RETRY_AFTER, RETRY_AFTER_MS, X_MS_RETRY_AFTER_MS},
        policies::{Policy, PolicyResult, RetryHeaders, RetryPolicy},
    },
    time::Duration,
};
use futures::AsyncReadExt as _;
use md5::{Digest as _, Md5};
use tokio::time::timeout;

use crate::retry::{ATTEMPT_TIME_MAX, ATTEMPTS_MAX, RETRY_AFTER_MAX, pause};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// Bytes hashed at once.
const HASH_BYTES: usize = 64 << 10;

/// Sends the checksum of every body along; the service compares it with what arrived.
#[derive(Debug)]
pub(super) struct ContentMd5;

#[async_trait]
impl Policy for ContentMd5 {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if request.method() == Method::Put && request.body().is_empty() != Some(true) {
            let digest = digest(request.body()).await?;
            request.insert_header(CONTENT_MD5, base64::encode(digest));
        }
        next[0].send(context, request, &next[1..]).await
    }
}

async fn digest(body: &Body) -> azure_core::Result<[u8; 16]> {
    let mut hash = Md5::new();
    match body {
        Body::Bytes(bytes) => hash.update(bytes),
        Body::SeekableStream(stream) => {
            let mut stream = stream.clone();
            stream.reset().await?;
            let mut piece = vec![0; HASH_BYTES];
            loop {
                let read = stream.read(&mut piece).await?;
                if read == 0 {
                    break;
                }
                hash.update(&piece[..read]);
            }
            stream.reset().await?;
        }
    }
    Ok(hash.finalize().into())
}

/// Ends a try that gets no answer.
#[derive(Debug)]
pub(super) struct AttemptTime;

#[async_trait]
impl Policy for AttemptTime {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        match timeout(ATTEMPT_TIME_MAX, next[0].send(context, request, &next[1..])).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::with_message(ErrorKind::Io, "no answer in time")),
        }
    }
}

/// Repeats with the pauses of all stores; the SDK waits longer where the server asks for it.
#[derive(Debug)]
pub(super) struct FullJitter(RetryHeaders);

impl Default for FullJitter {
    fn default() -> Self {
        Self(RetryHeaders { retry_headers: vec![X_MS_RETRY_AFTER_MS, RETRY_AFTER_MS, RETRY_AFTER] })
    }
}

#[async_trait]
impl RetryPolicy for FullJitter {
    fn is_expired(&self, _: Duration, retry_count: u32) -> bool {
        retry_count + 1 >= ATTEMPTS_MAX
    }

    fn retry_headers(&self) -> Option<&RetryHeaders> {
        Some(&self.0)
    }

    fn retry_status_codes(&self) -> &[StatusCode] {
        &[]
    }

    fn sleep_duration(&self, retry_count: u32) -> Duration {
        Duration::try_from(pause(retry_count)).unwrap_or(Duration::ZERO)
    }

    async fn wait(&self, retry_count: u32, retry_after: Option<Duration>) {
        let asked = retry_after.and_then(|asked| asked.try_into().ok()).unwrap_or_default();
        tokio::time::sleep(pause(retry_count).max(RETRY_AFTER_MAX.min(asked))).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use azure_core::{
        http::{AsyncRawResponse, Url, headers::Headers},
        stream::BytesStream,
    };

    use super::*;

    /// Answers with the checksum that it got.
    #[derive(Debug)]
    struct Echo;

    #[async_trait]
    impl Policy for Echo {
        async fn send(&self, _: &Context, request: &mut Request, _: &[Arc<dyn Policy>]) -> PolicyResult {
            let sum = request.headers().get_optional_str(&CONTENT_MD5).unwrap_or_default().to_owned();
            Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), sum))
        }
    }

    #[tokio::test]
    async fn every_body_goes_with_its_checksum() {
        let abc = "kAFQmDzST7DWlj99KOF/cg==";
        let bodies = [
            (Method::Put, Body::from(b"abc".to_vec()), abc),
            (Method::Put, Body::from(BytesStream::new("abc")), abc),
            (Method::Put, Body::from(Vec::new()), ""),
            (Method::Delete, Body::from(b"abc".to_vec()), ""),
        ];
        for (method, body, expected) in bodies {
            let mut request = Request::new(Url::parse("http://127.0.0.1/c/b").unwrap(), method);
            request.set_body(body);
            let answer = ContentMd5.send(&Context::new(), &mut request, &[Arc::new(Echo)]).await.unwrap();
            assert_eq!(answer.into_body().collect_string().await.unwrap(), expected);
        }
    }
}
