//! What a stage says, passed on as it comes and remembered: the report at the end repeats why a
//! stage failed, since whoever reads a log of hours may be shown its two ends only.

use std::{
    fs::File,
    io::{self, IsTerminal, PipeReader, Read, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, ioctl_fionread},
    stdio::{dup2_stderr, dup2_stdout},
};

mod said;

pub use said::Said;

/// For what is on its way in a pipe; a process that a stage left behind may talk on for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// While this lives, standard output and standard error go through it, also those of children.
/// A terminal is left alone: it shows what was said, and programs treat it better than a pipe.
pub struct Tee {
    said: Arc<Mutex<Said>>,
    /// Ours of each pipe that is read elsewhere, to see what is on its way.
    pipes: Vec<PipeReader>,
    /// What the two were before.
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
}

impl Tee {
    /// Begins; where a pipe cannot be had, nothing is remembered and all is shown.
    pub fn begin() -> Self {
        let mut tee = Self {
            said: Arc::new(Mutex::new(Said::default())),
            pipes: Vec::new(),
            out: None,
            err: None,
        };
        if !io::stdout().is_terminal() {
            tee.out = tee.divert(&io::stdout(), 0, |to| dup2_stdout(to)).ok();
        }
        if !io::stderr().is_terminal() {
            tee.err = tee.divert(&io::stderr(), 1, |to| dup2_stderr(to)).ok();
        }
        tee
    }

    /// Forgets what was said before.
    pub fn forget(&self) {
        *self.settled() = Said::default();
    }

    /// What was said since.
    pub fn told(&self) -> Vec<String> {
        self.settled().lines()
    }

    fn divert(
        &mut self,
        stream: &impl AsFd,
        number: usize,
        put: impl FnOnce(&io::PipeWriter) -> rustix::io::Result<()>,
    ) -> io::Result<OwnedFd> {
        let before = stream.as_fd().try_clone_to_owned()?;
        let to = File::from(before.try_clone()?);
        let (from, into) = io::pipe()?;
        let ours = from.try_clone()?;
        put(&into)?;
        let said = Arc::clone(&self.said);
        thread::spawn(move || pass_on(from, to, number, &said));
        self.pipes.push(ours);
        Ok(before)
    }

    /// When nothing is on its way any more.
    fn settled(&self) -> MutexGuard<'_, Said> {
        // What cannot be written is not on its way.
        let _ = io::stdout().flush();
        let begun = Instant::now();
        loop {
            let held = lock(&self.said);
            let on_its_way = self.pipes.iter().any(|p| ioctl_fionread(p).unwrap_or(0) > 0);
            if !on_its_way || begun.elapsed() > PATIENCE {
                return held;
            }
            drop(held);
            thread::yield_now();
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        drop(self.settled());
        // The readers end with the last process that writes to them.
        if let Some(out) = self.out.take() {
            let _ = dup2_stdout(out);
        }
        if let Some(err) = self.err.take() {
            let _ = dup2_stderr(err);
        }
    }
}

/// Takes from a pipe and remembers under one lock, so that whoever holds the lock and sees the
/// pipe empty knows that everything was remembered.
fn pass_on(mut from: PipeReader, mut to: File, number: usize, said: &Mutex<Said>) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        match poll(&mut [PollFd::new(&from, PollFlags::IN)], None) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let mut held = lock(said);
        match from.read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                // Whoever closed our output does not want to see it; the report is for others.
                let _ = to.write_all(&bytes[..count]);
                held.take(number, &bytes[..count]);
            }
        }
    }
}

/// What is behind it is plain values, which a panic elsewhere cannot leave half-changed.
fn lock(said: &Mutex<Said>) -> MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_a_child_says_is_passed_on_and_remembered() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("shown");
        let said = Arc::new(Mutex::new(Said::default()));
        let mut tee = Tee { said, pipes: Vec::new(), out: None, err: None };
        let shown = File::create(&file).expect("a file");
        let mut child = Command::new("sh");
        child.args(["-c", "echo first; echo second"]).stdin(Stdio::null());
        let before = tee.divert(&shown, 0, |into| {
            let into = into.try_clone().expect("a descriptor");
            child.stdout(into);
            Ok(())
        });
        before.expect("a pipe");
        assert!(child.status().expect("a shell").success());
        assert_eq!(tee.told(), ["first", "second"]);
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "first\nsecond\n");
        tee.forget();
        assert!(tee.told().is_empty());
    }
}
