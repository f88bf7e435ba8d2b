//! Where things lie: folders and buckets.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::diagnostic::suggestion;
use crate::values::scalars;
use crate::yaml::{Fault, resolve};

/// A folder or a bucket with a prefix. Prefixes have no slash at either end and may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A local folder; relative ones are resolved against the folder of the configuration file.
    Folder(PathBuf),
    /// `s3://bucket/prefix`
    S3 {
        /// Bucket.
        bucket: String,
        /// Prefix of the keys.
        prefix: String,
    },
    /// `az://account/container/prefix`
    Azure {
        /// Storage account.
        account: String,
        /// Container.
        container: String,
        /// Prefix of the blob names.
        prefix: String,
    },
    /// `gs://bucket/prefix`
    Gcs {
        /// Bucket.
        bucket: String,
        /// Prefix of the object names.
        prefix: String,
    },
}

/// A local file or folder; relative ones are resolved against the folder of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalPath(pub PathBuf);

/// Schemes of a place.
const SCHEMES: &[&str] = &["file", "s3", "az", "gs"];

impl Place {
    /// A local folder, relative to the file being read.
    pub(crate) fn folder(path: &str) -> Self {
        Self::Folder(resolve(Path::new(path)))
    }

    /// The local folder, if it is one.
    pub fn as_folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            _ => None,
        }
    }

    /// The bucket as a whole and the prefix within it; `None` for a folder.
    pub fn split(&self) -> Option<(Self, &str)> {
        let whole = String::new();
        Some(match self {
            Self::Folder(_) => return None,
            Self::S3 { bucket, prefix } => (Self::S3 { bucket: bucket.clone(), prefix: whole }, prefix),
            Self::Azure { account, container, prefix } => {
                let (account, container) = (account.clone(), container.clone());
                (Self::Azure { account, container, prefix: whole }, prefix)
            }
            Self::Gcs { bucket, prefix } => (Self::Gcs { bucket: bucket.clone(), prefix: whole }, prefix),
        })
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return local(text).map(Self::Folder);
        };
        let (first, more) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = |prefix: &str| prefix.trim_matches('/').to_owned();
        let place = match scheme {
            "file" => return local(text).map(Self::Folder),
            "s3" => Self::S3 { bucket: first.to_owned(), prefix: prefix(more) },
            "gs" => Self::Gcs { bucket: first.to_owned(), prefix: prefix(more) },
            "az" => {
                let (container, more) = more.split_once('/').unwrap_or((more, ""));
                if container.is_empty() {
                    let fault = Fault::new(format!("the place `{text}` has no container"));
                    return Err(fault.hint("write `az://account/container/prefix`"));
                }
                Self::Azure {
                    account: first.to_owned(),
                    container: container.to_owned(),
                    prefix: prefix(more),
                }
            }
            other => {
                let hint = suggestion(other, SCHEMES.iter().copied()).unwrap_or_default();
                return Err(Fault::new(format!("unknown scheme `{other}` of the place `{text}`")).hint(hint));
            }
        };
        // Credentials, ports, queries: nothing of a URL but its names belongs here.
        let named = !first.is_empty() && !first.contains(['@', ':', '?', '#', ' ']);
        let hint = "write `s3://bucket/prefix`, `az://account/container/prefix` or `gs://bucket/prefix`";
        if named { Ok(place) } else { Err(Fault::new(format!("`{text}` names no bucket")).hint(hint)) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Azure { account, container, prefix } => write!(f, "az://{account}/{container}/{prefix}"),
            Self::Gcs { bucket, prefix } => write!(f, "gs://{bucket}/{prefix}"),
        }
    }
}

impl LocalPath {
    fn parse(text: &str) -> Result<Self, Fault> {
        local(text).map(Self)
    }
}

/// A path or a `file:` URL of this machine.
pub(crate) fn local(text: &str) -> Result<PathBuf, Fault> {
    if text.is_empty() {
        return Err(Fault::new("a path is missing"));
    }
    if text.starts_with('~') {
        let fault = Fault::new(format!("`~` is not expanded in `{text}`"));
        return Err(fault.hint("write the whole path, or one relative to this file"));
    }
    match text.split_once("://") {
        None => Ok(resolve(Path::new(text))),
        Some(("file", _)) => {
            let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
            path.ok_or_else(|| {
                Fault::new(format!("`{text}` is not a local path"))
                    .hint("write `file:///whole/path` or `./relative`")
            })
        }
        Some(_) => {
            let fault = Fault::new(format!("`{text}` is not a local path"));
            Err(fault.hint("only a path of this machine can be given here"))
        }
    }
}

scalars! {
    Place, Self::Folder(PathBuf::new()), {
        "type": "string", "minLength": 1,
        "description": "a folder, `s3://bucket/prefix`, `az://account/container/prefix` or `gs://bucket/prefix`"
    };
    LocalPath, Self::default(), {
        "type": "string", "minLength": 1,
        "description": "a path of this machine; relative to the configuration file"
    };
}
