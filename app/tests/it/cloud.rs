//! The clouds' servers that `cargo xtask test` starts, and buckets of a test's own on them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use linchpin_config::{Place, Stores};
use linchpin_store::{ObjectHead, Store, connect, create_bucket};
use tokio::runtime::Runtime;
use ulid::Ulid;

/// The account of Azure's emulator.
const ACCOUNT: &str = "devstoreaccount1";

/// A cloud that a test can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloud {
    /// A server that speaks the protocol of S3.
    S3,
    /// An emulation of S3 and of what is around it.
    Emulator,
    Azure,
    Gcs,
}

/// Every cloud, each by its best server.
pub(crate) const CLOUDS: [Cloud; 3] = [Cloud::S3, Cloud::Azure, Cloud::Gcs];

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("`{name}` is not set\nhint: run the tests by cargo xtask test"))
}

/// How all of these clouds are reached, as a configuration has it.
pub(crate) fn stores(clouds: &[Cloud]) -> String {
    let s3 =
        |name| format!("s3: {{ endpoint: \"{}\", region: us-east-1, path_style: true }}", variable(name));
    let one = |cloud: &Cloud| match cloud {
        Cloud::S3 => s3("LINCHPIN_TEST_S3"),
        Cloud::Emulator => s3("LINCHPIN_TEST_MOTO"),
        Cloud::Azure => format!(
            "azure: {{ endpoint: \"{}\", sas_token: {{ env: LINCHPIN_TEST_AZURE_SAS }} }}",
            variable("LINCHPIN_TEST_AZURE")
        ),
        Cloud::Gcs => format!("gcs: {{ endpoint: \"{}\" }}", variable("LINCHPIN_TEST_GCS")),
    };
    format!("{{ {} }}", clouds.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// A new bucket on a cloud.
pub(crate) struct Bucket {
    cloud: Cloud,
    name: String,
    store: Arc<dyn Store>,
    runtime: Runtime,
}

impl Bucket {
    pub(crate) fn new(cloud: Cloud) -> Self {
        let name = format!("linchpin-{}", Ulid::new()).to_lowercase();
        let runtime = Runtime::new().unwrap();
        let settings: Stores = linchpin_config::parse("stores.yaml", &stores(&[cloud])).unwrap();
        let (bucket, prefix) = (name.clone(), String::new());
        let place = match cloud {
            Cloud::S3 | Cloud::Emulator => Place::S3 { bucket, prefix },
            Cloud::Azure => Place::Azure { account: ACCOUNT.to_owned(), container: bucket, prefix },
            Cloud::Gcs => Place::Gcs { bucket, prefix },
        };
        let store = runtime.block_on(async {
            create_bucket(&place, &settings).await.unwrap();
            connect(&place, &settings).await.unwrap()
        });
        Self { cloud, name, store, runtime }
    }

    /// Its cloud.
    pub(crate) fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// The address of a prefix, as the configuration has it.
    pub(crate) fn url(&self, prefix: &str) -> String {
        let name = &self.name;
        match self.cloud {
            Cloud::S3 | Cloud::Emulator => format!("s3://{name}/{prefix}"),
            Cloud::Azure => format!("az://{ACCOUNT}/{name}/{prefix}"),
            Cloud::Gcs => format!("gs://{name}/{prefix}"),
        }
    }

    /// A feed over a prefix, as the configuration has it.
    pub(crate) fn feed(&self, name: &str, archive: &str, prefix: &str) -> String {
        let bucket = &self.name;
        let from = match self.cloud {
            Cloud::S3 | Cloud::Emulator => format!("s3: {{ bucket: {bucket}, prefix: {prefix} }}"),
            Cloud::Azure => {
                format!("azure_blob: {{ account: {ACCOUNT}, container: {bucket}, prefix: {prefix} }}")
            }
            Cloud::Gcs => format!("gcs: {{ bucket: {bucket}, prefix: {prefix} }}"),
        };
        format!("{{ name: {name}, archive: {archive}, from: {{ {from} }} }}")
    }

    /// Uploads every file below a folder; keys are `prefix` and the path below it. Gives their number.
    pub(crate) fn upload(&self, folder: &Path, prefix: &str) -> usize {
        let files = files(folder);
        for file in &files {
            let key = format!("{prefix}{}", file.strip_prefix(folder).unwrap().to_str().unwrap());
            let bytes = fs::read(file).unwrap();
            self.runtime.block_on(self.store.put(&key, bytes.into())).unwrap();
        }
        files.len()
    }

    /// All objects below a prefix.
    pub(crate) fn heads(&self, prefix: &str) -> Vec<ObjectHead> {
        let mut heads: Vec<ObjectHead> = Vec::new();
        loop {
            let after = heads.last().map(|head| head.key.as_str());
            let page = self.runtime.block_on(self.store.list(prefix, after)).unwrap();
            if page.is_empty() {
                return heads;
            }
            heads.extend(page);
        }
    }

    /// All keys below a prefix.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.heads(prefix).into_iter().map(|head| head.key).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let to = if path.is_dir() { &mut folders } else { &mut files };
            to.push(path);
        }
    }
    files.sort();
    files
}
