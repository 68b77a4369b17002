//! Threads that wait for one disk. A disk that hangs holds these and nobody else's.

use std::{collections::VecDeque, io, sync::Arc, thread};

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// A bounded queue of jobs and the threads that do them. Dropping or closing it drops jobs
/// that have not begun.
pub(super) struct Pool {
    shared: Arc<Shared>,
    jobs_max: usize,
}

impl Pool {
    pub(super) fn start(name: &'static str, threads: usize, jobs_max: usize) -> io::Result<Self> {
        let pool = Self { shared: Arc::default(), jobs_max };
        for _ in 0..threads {
            let shared = pool.shared.clone();
            thread::Builder::new()
                .name(name.into())
                .stack_size(256 << 10)
                .spawn(move || work(&shared))?;
        }
        Ok(pool)
    }

    /// False when there are too many jobs, or none are taken any more.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) -> bool {
        let mut queue = self.shared.queue.lock();
        if queue.closed || queue.jobs.len() >= self.jobs_max {
            return false;
        }
        queue.jobs.push_back(Box::new(job));
        drop(queue);
        self.shared.wake.notify_one();
        true
    }

    pub(super) fn close(&self) {
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        let jobs = std::mem::take(&mut queue.jobs);
        drop(queue);
        self.shared.wake.notify_all();
        // What waits for them is told, and not under the lock.
        drop(jobs);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

fn work(shared: &Shared) {
    let mut queue = shared.queue.lock();
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            parking_lot::MutexGuard::unlocked(&mut queue, job);
        } else if queue.closed {
            return;
        } else {
            shared.wake.wait(&mut queue);
        }
    }
}
