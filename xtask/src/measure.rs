//! Runs a program and measures it from outside, through `/proc`: nothing relies on what the program
//! says of itself. The process is left unreaped until its final counters have been read.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::workspace::line;

/// Between two looks at a running program. What its memory grows by in its last interval is not seen.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);
/// A measured program that runs longer is ended.
const SECONDS_MAX: u64 = 900;
/// Linux counts CPU time for `/proc` in hundredths of a second on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a program used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds from start to end.
    pub(crate) wall_seconds: f64,
    /// CPU seconds of all threads, user and system.
    pub(crate) cpu_seconds: f64,
    /// Most resident memory, in bytes.
    pub(crate) peak_bytes: u64,
    /// Bytes that it asked to read, from whatever: files, pipes, sockets.
    pub(crate) read_bytes: u64,
}

/// A program that ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) usage: Usage,
}

/// Runs a program to its end; anything but success is an error.
pub(crate) fn measure(command: &mut Command) -> Result<Finished> {
    let done = observe(command)?;
    if !done.status.success() {
        bail!("`{}` failed ({}): {}", line(command), done.status, done.stderr.trim());
    }
    Ok(done)
}

/// Runs a program to its end, whatever that is.
pub(crate) fn observe(command: &mut Command) -> Result<Finished> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let usage = watch(&mut child, started);
    // Without a measurement the program is still running: nobody would wait for it.
    if usage.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{}`", line(command)))?;
    let usage = usage.with_context(|| format!("cannot measure `{}`", line(command)))?;
    Ok(Finished { status, stdout: text(stdout)?, stderr: text(stderr)?, usage })
}

/// Reads a pipe to its end beside the program, which would block on a full one.
fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> thread::JoinHandle<std::io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes))?;
        Ok(bytes)
    })
}

fn text(reader: thread::JoinHandle<std::io::Result<Vec<u8>>>) -> Result<String> {
    match reader.join() {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes?).into_owned()),
        Err(_) => bail!("the reader of its output panicked"),
    }
}

/// Watches a child until it is a zombie, which keeps its counters until it is waited for.
fn watch(child: &mut Child, started: Instant) -> Result<Usage> {
    let folder = PathBuf::from("/proc").join(child.id().to_string());
    let mut usage = Usage::default();
    loop {
        let (ended, cpu_seconds) = stat(&read(&folder, "stat")?)?;
        // A process on its way out has no memory map any more.
        if let Some(kib) = field(&read(&folder, "status")?, "VmHWM:") {
            usage.peak_bytes = usage.peak_bytes.max(kib * 1024);
        }
        if ended {
            usage.wall_seconds = started.elapsed().as_secs_f64();
            usage.cpu_seconds = cpu_seconds;
            usage.read_bytes = field(&read(&folder, "io")?, "rchar:").context("no count of bytes read")?;
            return Ok(usage);
        }
        if started.elapsed().as_secs() > SECONDS_MAX {
            bail!("it ran longer than {SECONDS_MAX} s");
        }
        thread::sleep(SAMPLE_INTERVAL);
    }
}

fn read(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Whether the process has ended, and the CPU seconds it used, from the text of `/proc/PID/stat`.
fn stat(text: &str) -> Result<(bool, f64)> {
    // The second field is the program's name in brackets and may hold anything.
    let (_, rest) = text.rsplit_once(") ").context("unknown form of /proc/PID/stat")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok());
    match (fields.first(), ticks(11), ticks(12)) {
        (Some(state), Some(user), Some(system)) => {
            Ok((*state == "Z", (f64::from(user) + f64::from(system)) / TICKS_PER_SECOND))
        }
        _ => bail!("unknown form of /proc/PID/stat"),
    }
}

/// The number after `name` in a file of lines like `VmHWM:   1234 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_the_text_of_proc() {
        let text = "7 (a) b) Z 1 7 7 0 -1 4 10 0 0 0 150 50 0 0 20 0 1 0 9";
        assert_eq!(stat(text).unwrap(), (true, 2.0));
        assert!(stat("nothing").is_err());
        assert_eq!(field("Name: x\nVmHWM:\t  12 kB\n", "VmHWM:"), Some(12));
        assert_eq!(field("Name: x\n", "VmHWM:"), None);
    }

    #[test]
    fn a_program_is_measured_from_outside() {
        let program = "data = bytearray(64 << 20)\nopen('/dev/zero','rb').read(3 << 20)\n\
             import time; end = time.process_time() + 0.2\nwhile time.process_time() < end: pass\nprint('done')";
        let done = measure(Command::new("python3").args(["-c", program])).unwrap();
        assert_eq!(done.stdout, "done\n");
        assert!(done.usage.peak_bytes > 64 << 20, "{:?}", done.usage);
        assert!(done.usage.read_bytes > 3 << 20, "{:?}", done.usage);
        assert!(done.usage.cpu_seconds >= 0.19 && done.usage.wall_seconds >= 0.19, "{:?}", done.usage);
    }

    #[test]
    fn a_failure_says_which_program_and_why() {
        let error = measure(Command::new("sh").args(["-c", "echo reason >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("reason") && text.contains("exit status: 3"), "{text}");
    }
}
