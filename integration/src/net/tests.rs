#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn link_local_and_metadata_addresses_are_refused_in_every_spelling() {
    let refused = [
        "169.254.169.254",
        "169.254.0.1",
        "168.63.129.16",
        "100.100.100.200",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ];
    let allowed = ["127.0.0.1", "10.0.0.1", "192.0.2.7", "168.63.129.17", "::1", "2001:db8::1", "fd00::1"];
    for ip in refused {
        assert!(is_refused(ip.parse().unwrap()), "{ip}");
    }
    for ip in allowed {
        assert!(!is_refused(ip.parse().unwrap()), "{ip}");
    }
    // Other spellings of the same number are one address to the URL parser.
    for host in ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"] {
        let url = format!("http://{host}/").parse().unwrap();
        assert!(check_url(&url, false).is_err(), "{host}");
        assert!(check_url(&url, true).is_ok(), "{host}");
    }
}

#[test]
fn a_name_keeps_only_its_allowed_addresses() {
    let resolve = |ips: &[&str]| {
        let found = ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
        keep_allowed("siem.example.com", found)
            .map(|kept| kept.map(|a| a.ip().to_string()).collect::<Vec<_>>())
    };
    assert_eq!(resolve(&["fe80::1", "192.0.2.7"]).unwrap(), ["192.0.2.7"]);
    assert_eq!(resolve(&[]).unwrap(), Vec::<String>::new());
    let error = resolve(&["169.254.169.254"]).unwrap_err();
    assert!(error.to_string().starts_with("host `siem.example.com` is a link-local"));
}

/// As if the resolver had found nothing but a metadata address.
#[derive(Debug)]
struct Metadata;

impl Resolve for Metadata {
    fn resolve(&self, name: Name) -> Resolving {
        let found = vec![SocketAddr::from(([169, 254, 169, 254], 0))];
        Box::pin(async move { Ok(keep_allowed(name.as_str(), found)?) })
    }
}

#[tokio::test]
async fn the_client_asks_the_guarded_resolver() {
    let url: Url = "http://name.invalid/?key=hunter2".parse().unwrap();
    let error = client(false, REQUEST_TIME_MAX).unwrap().post(url.clone()).send().await.unwrap_err();
    let error = request_error(&url, error);
    assert!(matches!(error, OutputError::Retry { .. }), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");

    let client = Client::builder().no_proxy().dns_resolver(Arc::new(Metadata)).build().unwrap();
    let error = client.post(url.clone()).send().await.unwrap_err();
    let error = request_error(&url, error);
    assert!(matches!(error, OutputError::Configuration { .. }), "{error}");
    assert!(error.to_string().contains("link-local"), "{error}");
}
