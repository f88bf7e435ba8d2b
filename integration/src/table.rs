//! The outputs there are: one row each.

use std::sync::Arc;

use linchpin_config::OutputTo;

use crate::{
    http, ndjson,
    output::{Output, OutputError},
};

/// One kind of output.
#[derive(Debug, Clone, Copy)]
pub struct OutputKind {
    /// Its key under `to:`.
    pub name: &'static str,
    /// Makes an output called so, if the settings are of this kind. Reads secrets, connects to nothing.
    pub build: Build,
}

/// Makes an output from its name and settings; `None` when the settings are of another kind.
pub type Build = fn(&str, &OutputTo) -> Option<Result<Arc<dyn Output>, OutputError>>;

/// Every kind of output; a new one is one file and one row.
pub const OUTPUTS: &[OutputKind] =
    &[OutputKind { name: "http", build: http::build }, OutputKind { name: "ndjson", build: ndjson::build }];

/// Makes the output that the configuration describes.
pub fn build(settings: &linchpin_config::Output) -> Result<Arc<dyn Output>, OutputError> {
    let name = settings.name.value.as_str();
    OUTPUTS.iter().find_map(|kind| (kind.build)(name, &settings.to)).unwrap_or_else(|| {
        let known: Vec<_> = OUTPUTS.iter().map(|kind| kind.name).collect();
        Err(OutputError::configuration(format!(
            "this version cannot send to what `{name}` names\nhint: it has {}",
            known.join(", ")
        )))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{
        contract::{delivery, events},
        server::Server,
    };

    fn from_yaml(to: &str) -> Result<Arc<dyn Output>, OutputError> {
        let text = format!("name: out\nto: {to}\n");
        build(&linchpin_config::parse("out.yaml", &text).unwrap())
    }

    #[tokio::test]
    async fn outputs_are_built_from_their_settings() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::scripted([]).await;
        let secret = folder.path().join("token");
        std::fs::write(&secret, "hunter2\n").unwrap();
        let out = folder.path().join("out");
        let reference = format!("{{ file: {} }}", secret.display());
        let http = format!(
            "{{ http: {{ url: \"{}\", token: {reference}, headers: {{ X-Team: soc, X-Key: {reference} }}, batch: {{ events: 2 }} }} }}",
            server.url()
        );
        for to in [format!("{{ ndjson: {} }}", out.display()), http] {
            let output = from_yaml(&to).unwrap();
            assert_eq!(output.name(), "out");
            let done = output.deliver(&delivery("A", 1, &events("A", 1, 5))).await.unwrap();
            assert_eq!(done.events, 5);
        }
        assert!(out.join("2024-05-06/A-0000000001.ndjson").is_file());
        let seen = server.seen();
        assert_eq!(seen.len(), 3);
        let headers = &seen[0].headers;
        assert_eq!(headers["authorization"], "Bearer hunter2");
        assert_eq!((headers["x-team"].as_str(), headers["x-key"].as_str()), ("soc", "hunter2"));
    }

    #[test]
    fn what_cannot_be_built_says_why() {
        let cases = [
            (
                "{ http: { url: \"https://example.com/\", token: { file: /nowhere/token } } }",
                "`/nowhere/token`",
            ),
            ("{ http: { url: \"http://169.254.169.254/\" } }", "link-local"),
        ];
        for (to, expected) in cases {
            let error = from_yaml(to).unwrap_err();
            assert!(matches!(error, OutputError::Configuration { .. }));
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
