//! Services that the tests talk to: one row each, started by `cargo xtask test` on loopback and
//! stopped when it ends. A service says in one line what it cannot get; its tests then fail with it.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{tools, workspace::Workspace};

/// One service.
pub(crate) struct Service {
    /// Short name.
    pub(crate) name: &'static str,
    /// What the tests use it for.
    pub(crate) about: &'static str,
    /// The variable that gives the tests its address.
    pub(crate) variable: &'static str,
    /// What follows host and port in the address.
    path: &'static str,
    /// More variables that the tests need for it.
    also: &'static [(&'static str, &'static str)],
    /// Installs it below the target directory where it is missing; how it is started on a port, with
    /// an empty folder for its data.
    command: fn(&Workspace, u16, &Path) -> Result<Command>,
}

/// The key of every S3 server here: it opens nothing else.
const S3_KEY: (&str, &str) = ("linchpin-test", "linchpin-test-secret");

/// Every service. Tests on local folders need none.
pub(crate) const SERVICES: &[Service] = &[
    Service {
        name: "versitygw",
        about: "a real S3 server on a folder",
        variable: "LINCHPIN_TEST_S3",
        path: "",
        also: &[
            ("AWS_ACCESS_KEY_ID", S3_KEY.0),
            ("AWS_SECRET_ACCESS_KEY", S3_KEY.1),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ],
        command: |workspace, port, data| {
            let mut command = Command::new(tools::versitygw(workspace)?);
            let sidecar = data.join("sidecar");
            let buckets = data.join("buckets");
            fs::create_dir_all(&sidecar)?;
            fs::create_dir_all(&buckets)?;
            command.args(["--access", S3_KEY.0, "--secret", S3_KEY.1, "--region", "us-east-1"]);
            command.args(["--port", &format!("127.0.0.1:{port}"), "--quiet", "posix", "--sidecar"]);
            command.arg(sidecar).arg(buckets);
            Ok(command)
        },
    },
    Service {
        name: "moto",
        about: "S3 with storage classes and restores, emulated",
        variable: "LINCHPIN_TEST_MOTO",
        path: "",
        also: &[],
        command: |workspace, port, _| {
            let mut command = Command::new(tools::moto(workspace)?);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            Ok(command)
        },
    },
    Service {
        name: "azurite",
        about: "Azure Blob Storage, emulated by its vendor",
        variable: "LINCHPIN_TEST_AZURE",
        path: "/devstoreaccount1",
        // Signed with the emulator's public key for everything in it, until 2099.
        also: &[(
            "LINCHPIN_TEST_AZURE_SAS",
            "sv=2021-12-02&ss=bq&srt=sco&sp=rwdlacuptfx&st=2020-01-01T00%3A00%3A00Z&se=2099-01-01T00%3A00%3A00Z\
             &spr=https%2Chttp&sig=jga%2FotUfumK6mINkQmhV1J%2F9gMmEqIoMBKi5p2oHAh4%3D",
        )],
        command: |workspace, port, data| {
            let mut command = Command::new(tools::azurite(workspace)?);
            command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location"]).arg(data);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
            Ok(command)
        },
    },
    Service {
        name: "gcs",
        about: "Google Cloud Storage, by the server in xtask/gcs",
        variable: "LINCHPIN_TEST_GCS",
        path: "",
        also: &[("GOOGLE_CLOUD_PROJECT", "linchpin-test")],
        command: |workspace, port, _| {
            let mut command = Command::new(tools::gcs(workspace)?);
            command.args(["--listen", &format!("127.0.0.1:{port}")]);
            Ok(command)
        },
    },
];

/// Longest time until a service answers.
const START_TIME_MAX: Duration = Duration::from_mins(1);
/// Pause between looks at a service that does not answer yet.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for one answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Running services; they end with this value.
#[derive(Default)]
pub(crate) struct Running {
    children: Vec<Child>,
    /// Data and logs.
    folder: Option<PathBuf>,
    /// Variables for the tests.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Running {
    /// Starts every service; what cannot be had is said in one line each.
    pub(crate) fn start(workspace: &Workspace) -> Self {
        let folder = workspace.target.join("services").join(std::process::id().to_string());
        let mut running = Self::default();
        running.folder = Some(folder.clone());
        // All are started before any is waited for.
        let started = SERVICES.iter().map(|service| (service, service.start(workspace, &folder)));
        for (service, started) in started.collect::<Vec<_>>() {
            let answers = started.and_then(|(mut child, port, log)| match answers(&mut child, port, &log) {
                Ok(()) => Ok((child, port)),
                Err(error) => {
                    end(&mut child);
                    Err(error)
                }
            });
            match answers {
                Ok((child, port)) => {
                    let address = format!("http://127.0.0.1:{port}{}", service.path);
                    running.children.push(child);
                    running.variables.push((service.variable, address));
                    running
                        .variables
                        .extend(service.also.iter().map(|(name, value)| (*name, (*value).to_owned())));
                }
                Err(error) => eprintln!("cannot get {} ({}): {error:#}", service.name, service.about),
            }
        }
        running
    }
}

impl Service {
    fn start(&self, workspace: &Workspace, folder: &Path) -> Result<(Child, u16, PathBuf)> {
        let data = folder.join(self.name);
        fs::create_dir_all(&data).with_context(|| format!("cannot create `{}`", data.display()))?;
        let log = folder.join(format!("{}.log", self.name));
        // Free now; whoever takes it before the service does makes the start fail, no more.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = (self.command)(workspace, port, &data)?;
        let out = File::create(&log)?;
        command.current_dir(&data).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start `{}`", self.name))?;
        Ok((child, port, log))
    }
}

/// Waits until an HTTP server answers, whatever it says.
fn answers(child: &mut Child, port: u16, log: &Path) -> Result<()> {
    let start = Instant::now();
    let said = || fs::read_to_string(log).unwrap_or_default().trim().replace('\n', " | ");
    while start.elapsed() < START_TIME_MAX {
        if let Some(status) = child.try_wait()? {
            bail!("it ended ({status}): {}", said());
        }
        if ask(port).is_ok_and(|answer| answer.starts_with(b"HTTP/1.")) {
            return Ok(());
        }
        thread::sleep(LOOK_PAUSE);
    }
    bail!("no answer after {} s: {}", START_TIME_MAX.as_secs(), said())
}

fn ask(port: u16) -> std::io::Result<[u8; 7]> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIME_MAX)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    stream.write_all(
        format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn end(child: &mut Child) {
    // It may have ended by itself; there is nobody left to tell.
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for Running {
    fn drop(&mut self) {
        self.children.iter_mut().for_each(end);
        if let Some(folder) = &self.folder {
            // What stays is below the target directory and in nobody's way.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// `services [--run]`: lists them, or runs them until the input ends.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            for service in SERVICES {
                println!("{:<12} {:<24} {}", service.name, service.variable, service.about);
            }
        }
        ["--run"] => {
            let running = Running::start(workspace);
            for (name, value) in &running.variables {
                println!("export {name}='{value}'");
            }
            eprintln!("running until the end of the input (Ctrl-D)");
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        }
        _ => bail!("unexpected `{}`", arguments.join(" ")),
    }
    Ok(ExitCode::SUCCESS)
}
