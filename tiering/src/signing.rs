//! Who vouches for what was applied and deleted: Ed25519 signatures over statements of the ledger.
//!
//! A statement is JSON, signed byte for byte as the ledger keeps it, so that any tool can check it. The
//! key is the deployment's: one that the configuration names, or one that is made on first use and kept
//! where only this user reads it. [`check`] finds statements that were changed, that say something else
//! than the fact beside them, or whose signature is wrong.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use linchpin_config::{Place, SecretError, Signing};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Lake,
    ledger::{Fact, LedgerError, Signed},
    presence::state_folder,
};

/// Largest file that can be a key, in bytes.
const KEY_BYTES_MAX: u64 = 4 << 10;

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The key that the configuration names cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The key's file cannot be read or written.
    #[error("cannot use the key file `{path}`: {source}")]
    File {
        /// Path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It is not a key.
    #[error(
        "the signing key is not an Ed25519 key\nhint: make one with `openssl genpkey -algorithm ed25519`"
    )]
    NotAKey,
    /// The system has no random numbers.
    #[error("no key can be made: the system has no random numbers")]
    NoRandom,
}

/// The key of a deployment.
pub struct Signer {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key that the configuration names, else the one of the lake, which is made if there is none.
    pub fn open(signing: Option<&Signing>, lake: &Place) -> Result<Self, SigningError> {
        match signing {
            Some(signing) => Self::parse(signing.key.resolve()?.expose()),
            None => Self::at(&key_file(lake)),
        }
    }

    /// The key in a file, which is made if there is none; only its owner can read it.
    pub fn at(path: &Path) -> Result<Self, SigningError> {
        let fail = |source| SigningError::File { path: path.to_owned(), source };
        match read(path) {
            Ok(text) => return Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| SigningError::NoRandom)?;
        create(path, &BASE64.encode(made.as_ref())).map_err(fail)?;
        // Another process may have been first: its key is the one.
        Self::parse(&read(path).map_err(fail)?)
    }

    /// A key as PKCS #8, in base64 with or without the lines of PEM around it.
    pub fn parse(text: &str) -> Result<Self, SigningError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        let document = BASE64.decode(lines.collect::<String>()).map_err(|_| SigningError::NotAKey)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&document);
        Ok(Self { pair: pair.map_err(|_| SigningError::NotAKey)? })
    }

    /// The public key in hex digits.
    pub fn public(&self) -> String {
        hex(self.pair.public_key().as_ref())
    }

    /// Signs a statement.
    pub fn sign(&self, statement: &Value) -> Signed {
        let statement = statement.to_string();
        let signature = hex(self.pair.sign(statement.as_bytes()).as_ref());
        Signed { statement, key: self.public(), signature }
    }
}

/// Where the key of a lake is: within its folder, or for a bucket below this machine's folder for the
/// state of programs.
fn key_file(lake: &Place) -> PathBuf {
    if let Some(folder) = lake.as_folder() {
        return folder.join("signing.key");
    }
    let name = format!("{:016x}.key", xxh3_64(lake.to_string().as_bytes()));
    state_folder().join("linchpin/signing").join(name)
}

fn read(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > KEY_BYTES_MAX {
        return Err(io::Error::other(format!("{size} bytes are no key")));
    }
    fs::read_to_string(path)
}

/// Creates a file that only its owner can read, complete or not at all; one that is there stays.
fn create(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".signing-{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Whether a signature is the key's over the statement.
pub fn is_genuine(signed: &Signed) -> bool {
    let (Some(key), Some(signature)) = (unhex(&signed.key), unhex(&signed.signature)) else { return false };
    UnparsedPublicKey::new(&ED25519, key).verify(signed.statement.as_bytes(), &signature).is_ok()
}

/// What checking all signatures gave.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Signed facts.
    pub signed: usize,
    /// Facts of a kind that is signed today, without a signature: an older version wrote them.
    pub unsigned: usize,
    /// Public keys with the number of facts that they signed.
    pub keys: BTreeMap<String, usize>,
    /// What does not agree, with the fact that it is about.
    pub findings: Vec<String>,
}

/// Checks the signatures of all facts that should have one. Reads the whole ledger.
pub async fn check(lake: &Lake) -> Result<Checked, LedgerError> {
    let mut checked = Checked::default();
    for kind in ["applied", "tombstoned", "deleted"] {
        for (at_ms, fact) in lake.ledger.facts_of(kind).await? {
            checked.add(at_ms, &fact);
        }
    }
    Ok(checked)
}

impl Checked {
    fn add(&mut self, at_ms: i64, fact: &Fact) {
        // What the fact says, and the key that says the same in its statement.
        let (what, signed, key, said) = match fact {
            Fact::Applied(applied) => {
                let hash = hex(&applied.hash);
                (format!("policy applied by `{}`", applied.who), &applied.signed, "policy_sha256", hash)
            }
            Fact::Tombstoned { segment, signed } => {
                (format!("tombstone of segment `{segment}`"), signed, "segment", segment.clone())
            }
            Fact::Deleted { segment, signed } => {
                (format!("deletion of segment `{segment}`"), signed, "segment", segment.clone())
            }
            _ => return,
        };
        let Some(signed) = signed else {
            self.unsigned += 1;
            return;
        };
        self.signed += 1;
        *self.keys.entry(signed.key.clone()).or_default() += 1;
        let when = jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| String::new(), |t| t.to_string());
        if !is_genuine(signed) {
            self.findings.push(format!("{what} at {when}: the signature is wrong"));
            return;
        }
        let statement: Option<Value> = serde_json::from_str(&signed.statement).ok();
        if statement.as_ref().and_then(|s| s.get(key)).and_then(Value::as_str) != Some(said.as_str()) {
            self.findings.push(format!("{what} at {when}: what was signed is something else"));
        }
    }
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = vec![0; bytes.len() * 2];
    linchpin_normalize::unit::hex_into(bytes, &mut out);
    out.into_iter().map(char::from).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: &u8| char::from(*c).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair.first()?)? * 16 + digit(pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;
    use crate::ledger::AppliedFact;

    fn signer() -> (tempfile::TempDir, Signer) {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::at(&folder.path().join("keys/signing.key")).unwrap();
        (folder, signer)
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let (folder, signer) = signer();
        let path = folder.path().join("keys/signing.key");
        assert_eq!(Signer::at(&path).unwrap().public(), signer.public());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(!format!("{signer:?}").contains(&fs::read_to_string(&path).unwrap()));
    }

    #[test]
    fn keys_come_as_base64_or_pem() {
        let (folder, signer) = signer();
        let text = fs::read_to_string(folder.path().join("keys/signing.key")).unwrap();
        let (head, tail) = text.split_at(40);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{head}\n{tail}\n-----END PRIVATE KEY-----\n");
        assert_eq!(Signer::parse(&pem).unwrap().public(), signer.public());
        // an openssl key has no public half
        let short = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
        let known = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(Signer::parse(short).unwrap().public(), known);
        for wrong in ["", "hunter2", "MC4CAQAw"] {
            assert!(matches!(Signer::parse(wrong), Err(SigningError::NotAKey)), "{wrong}");
        }
    }

    #[test]
    fn a_changed_statement_or_signature_is_found() {
        let (_folder, signer) = signer();
        let good = signer.sign(&json!({ "segment": "a", "why": "expired" }));
        assert!(is_genuine(&good));
        let other = signer.sign(&json!({ "segment": "b" }));
        for bad in [
            Signed { statement: good.statement.replace("expired", "held"), ..good.clone() },
            Signed { signature: other.signature.clone(), ..good.clone() },
            Signed { signature: "zz".to_owned(), ..good.clone() },
            Signed { key: "00".repeat(32), ..good.clone() },
        ] {
            assert!(!is_genuine(&bad), "{bad:?}");
        }
        let mut checked = Checked::default();
        let deleted = |segment: &str, signed: Option<&Signed>| Fact::Deleted {
            segment: segment.to_owned(),
            signed: signed.cloned(),
        };
        checked.add(0, &deleted("a", Some(&good)));
        checked.add(0, &deleted("a", None));
        assert!(checked.findings.is_empty());
        // a true signature beside another deletion
        checked.add(0, &deleted("c", Some(&other)));
        let changed = Signed { statement: good.statement.replace("expired", "held"), ..good.clone() };
        checked.add(0, &deleted("a", Some(&changed)));
        let policy = signer.sign(&json!({ "policy_sha256": hex(&[7; 32]), "who": "ann" }));
        let applied =
            AppliedFact { hash: [8; 32], policy: String::new(), who: "ann".to_owned(), signed: Some(policy) };
        checked.add(0, &Fact::Applied(applied));
        let found: Vec<&str> =
            checked.findings.iter().map(|f| f.rsplit(": ").next().unwrap_or_default()).collect();
        assert_eq!(
            found,
            [
                "what was signed is something else",
                "the signature is wrong",
                "what was signed is something else"
            ]
        );
        assert_eq!((checked.signed, checked.unsigned, checked.keys.len()), (4, 1, 1));
    }
}
