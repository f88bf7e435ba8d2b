//! The HTTP client of all outputs, and the addresses it refuses.
//!
//! Certificates are verified, redirects are not followed (a `301` would turn a POST into a GET without
//! its body, and another host must never see the token), environment proxies are not used, and every
//! connection has time limits. Link-local addresses and the clouds' metadata services are refused,
//! both as literals in the URL and as answers of the resolver, so that a name that changes its address
//! between check and use gains nothing.

use std::{
    error::Error,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use url::{Host, Url};

use crate::output::OutputError;

/// Longest time to open a connection.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest time for one request and its answer.
pub const REQUEST_TIME_MAX: Duration = Duration::from_mins(1);
/// Most bytes of an answer that are read.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Metadata services outside the link-local ranges: Azure's wire server, Alibaba's, and AWS over IPv6.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// An address that no output may reach unless its configuration says so.
#[derive(Debug, thiserror::Error)]
#[error("host `{0}` is a link-local or metadata address\nhint: set `allow_link_local: true` if it is meant")]
pub struct RefusedAddress(String);

/// Whether `ip` is link-local or a metadata service, also when written as an IPv6 form of IPv4.
pub fn is_refused(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA.contains(&ip),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || METADATA.contains(&ip)
                || embedded_v4(v6).is_some_and(|v4| is_refused(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(join(high, low))
        }
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

/// Checks an endpoint: `http` or `https`, a host, no credentials inside, no refused address.
pub fn check_url(url: &Url, allow_link_local: bool) -> Result<(), OutputError> {
    let fault = |what: &str| Err(OutputError::configuration(format!("url of `{}` {what}", origin(url))));
    if !matches!(url.scheme(), "http" | "https") {
        return fault("must start with `http://` or `https://`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return fault("holds credentials\nhint: use `token: { env: NAME }` instead");
    }
    let ip = match url.host() {
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        Some(Host::Domain(_)) => return Ok(()),
        None => return fault("has no host"),
    };
    if is_refused(ip) && !allow_link_local {
        return Err(OutputError::configuration(RefusedAddress(ip.to_string()).to_string()));
    }
    Ok(())
}

/// Scheme, host and port: all of a URL that errors show, since path and query can hold secrets.
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Makes the client; `timeout` is the longest time for one request and its answer.
pub fn client(allow_link_local: bool, timeout: Duration) -> Result<Client, OutputError> {
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIME_MAX)
        .timeout(timeout)
        .user_agent(concat!("linchpin/", env!("CARGO_PKG_VERSION")));
    if !allow_link_local {
        builder = builder.dns_resolver(Arc::new(GuardedResolver));
    }
    builder.build().map_err(|e| OutputError::configuration(chain(&e)))
}

/// Resolves names by the system and leaves refused addresses out.
#[derive(Debug)]
struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(keep_allowed(name.as_str(), found.collect())?)
        })
    }
}

/// The allowed ones of a host's addresses; an error when all of them are refused.
fn keep_allowed(host: &str, mut addresses: Vec<SocketAddr>) -> Result<Addrs, RefusedAddress> {
    let found = addresses.len();
    addresses.retain(|address| !is_refused(address.ip()));
    if addresses.is_empty() && found > 0 {
        return Err(RefusedAddress(host.to_owned()));
    }
    Ok(Box::new(addresses.into_iter()))
}

/// What a failed request means: repeat it, unless the address was refused or it could not be built.
pub fn request_error(url: &Url, error: reqwest::Error) -> OutputError {
    // The error would print the whole URL.
    let error = error.without_url();
    let reason = format!("`{}`: {}", origin(url), chain(&error));
    if error.is_builder() || sources(&error).any(<dyn Error + 'static>::is::<RefusedAddress>) {
        return OutputError::configuration(reason);
    }
    OutputError::retry(reason)
}

/// An error and its causes in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    sources(error).skip(1).fold(error.to_string(), |mut text, cause| {
        let _ = write!(text, ": {cause}");
        text
    })
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// The start of an answer's body; an answer that breaks off gives what came.
pub async fn read_answer(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    body
}

#[cfg(test)]
mod tests;
