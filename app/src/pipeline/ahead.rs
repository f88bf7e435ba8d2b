//! Opens objects before their turn: a bucket takes its time to answer, and small objects would leave
//! a worker waiting most of the time.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use linchpin_ingest::{Body, IngestError};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{Job, Shared};

/// Objects opened ahead; each holds no more than its transport's bounded buffer.
const AHEAD_MAX: usize = 8;

/// What an object opened to.
type Opened = Result<Box<dyn Body>, IngestError>;

/// What comes next.
pub(super) enum Next {
    /// An object's turn.
    Object(Job, Opened),
    /// Nothing came within the time given.
    Nothing,
    /// Nothing will come any more.
    Ended,
}

/// The objects of one worker, in their order.
pub(super) struct Ahead<'s> {
    shared: &'s Shared,
    handle: &'s Handle,
    jobs: &'s Receiver<Job>,
    opening: VecDeque<(Job, JoinHandle<Opened>)>,
}

impl<'s> Ahead<'s> {
    pub(super) fn new(shared: &'s Shared, handle: &'s Handle, jobs: &'s Receiver<Job>) -> Self {
        Self { shared, handle, jobs, opening: VecDeque::new() }
    }

    /// The next object, waiting for it no longer than `wait`.
    pub(super) fn next(&mut self, wait: Duration) -> Next {
        let ended = self.fill(wait);
        match self.opening.pop_front() {
            Some((job, opening)) => {
                let opened = self.handle.block_on(opening).unwrap_or_else(|died| {
                    let object = Arc::clone(&job.candidate.object);
                    Err(IngestError::Read { object, source: io::Error::other(died) })
                });
                Next::Object(job, opened)
            }
            None if ended => Next::Ended,
            None => Next::Nothing,
        }
    }

    /// Takes what waits, as far as there is room; says whether that was all there will be.
    fn fill(&mut self, wait: Duration) -> bool {
        while self.opening.len() < AHEAD_MAX {
            let received = match self.opening.len() {
                0 => self.jobs.recv_timeout(wait),
                _ => self.jobs.try_recv().map_err(|e| match e {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            let job = match received {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            };
            let source = Arc::clone(&self.shared.feeds[job.feed].source);
            let candidate = job.candidate.clone();
            self.opening.push_back((job, self.handle.spawn(async move { source.open(&candidate).await })));
        }
        false
    }
}
