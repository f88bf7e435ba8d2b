//! Secrets: given by reference, resolved late, never printed.
//!
//! A configuration holds [`SecretRef`]s only. [`SecretRef::resolve`] reads the value when it is needed; the
//! [`Secret`] has neither `Display` nor `Serialize`, its `Debug` shows asterisks, and its memory is wiped.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::located::Located;
use crate::place::LocalPath;
use crate::yaml::{Fault, report};

/// The largest file that can be a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Where a secret is found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reference {
    /// Name of an environment variable.
    Env(String),
    /// A file that holds the secret and nothing else; a line break at its end does not count.
    File(LocalPath),
}

/// Where a secret is found; the secret itself is never part of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef(Reference);

/// A secret. It cannot be printed; hand out [`Secret::expose`] to what needs it and to nothing else.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// A text that may be secret, such as an HTTP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextOrSecret {
    /// Not secret.
    Text(String),
    /// Secret.
    Secret(SecretRef),
}

/// Why a secret could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or is not UTF-8.
    #[error("the environment variable `{0}` is not set\nhint: set it before starting linchpin")]
    Unset(String),
    /// The file cannot be read, is not UTF-8, or is too large.
    #[error("cannot read the secret file `{path}`: {source}")]
    Unreadable {
        /// Path.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The reference leads to an empty text.
    #[error("the secret of `{0}` is empty")]
    Empty(String),
}

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl SecretRef {
    /// Reads the secret from where it is.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let (name, text) = match &self.0 {
            Reference::Env(name) => {
                let text = std::env::var(name).map_err(|_| SecretError::Unset(name.clone()))?;
                (name.clone(), Zeroizing::new(text))
            }
            Reference::File(LocalPath(path)) => {
                let name = path.display().to_string();
                let text =
                    read(path).map_err(|source| SecretError::Unreadable { path: name.clone(), source })?;
                (name, text)
            }
        };
        let trimmed = text.strip_suffix('\n').unwrap_or(&text);
        let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
        if trimmed.is_empty() {
            return Err(SecretError::Empty(name));
        }
        Ok(Secret::from(trimmed.to_owned()))
    }

    /// Stands in for a secret given literally until the reading ends.
    fn placeholder() -> Self {
        Self(Reference::Env(String::new()))
    }
}

fn read(path: &std::path::Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let bytes = File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    if bytes as u64 > SECRET_BYTES_MAX {
        return Err(io::Error::other(format!("more than {SECRET_BYTES_MAX} bytes")));
    }
    Ok(text)
}

impl<'de> Deserialize<'de> for TextOrSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrSecretVisitor)
    }
}

struct TextOrSecretVisitor;

macro_rules! visit_text {
    ($($name:ident: $type:ty),*) => {$(
        fn $name<E>(self, text: $type) -> Result<TextOrSecret, E> {
            Ok(TextOrSecret::Text(text.to_string()))
        }
    )*};
}

impl<'de> Visitor<'de> for TextOrSecretVisitor {
    type Value = TextOrSecret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`{ env: NAME }` or `{ file: PATH }`")
    }

    visit_text!(visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOrSecret, A::Error> {
        let reference = Reference::deserialize(MapAccessDeserializer::new(map))?;
        Ok(TextOrSecret::Secret(SecretRef(reference)))
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Located { value, span } = Located::<TextOrSecret>::deserialize(deserializer)?;
        Ok(match value {
            TextOrSecret::Secret(reference) => reference,
            TextOrSecret::Text(_) => {
                report(Located { value: String::new(), span }, literal());
                Self::placeholder()
            }
        })
    }
}

/// The fault of a secret given literally.
pub(crate) fn literal() -> Fault {
    Fault::new("a secret is given literally")
        .hint("give it by reference: `{ env: NAME }` or `{ file: PATH }`")
        .secret()
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Reference::json_schema(generator)
    }
}

impl JsonSchema for TextOrSecret {
    fn schema_name() -> Cow<'static, str> {
        "TextOrSecret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "a text, or a secret by reference",
            "anyOf": [{ "type": "string" }, generator.subschema_for::<SecretRef>()],
        })
    }
}
