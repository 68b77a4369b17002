//! Ctrl-C and SIGTERM: the first asks everything to end in order, the second ends at once.

use std::{
    process::Child,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::Failure;

static ASKED: AtomicBool = AtomicBool::new(false);
/// The child that the main thread waits for, if it does.
static FOREGROUND: Mutex<Option<Pid>> = Mutex::new(None);
static LISTENER: OnceLock<Mutex<Option<Sender<()>>>> = OnceLock::new();

/// From now on signals no longer end this process by themselves.
pub fn take() -> Result<(), Failure> {
    if LISTENER.set(Mutex::new(None)).is_err() {
        return Ok(());
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|why| Failure::new(format!("cannot wait for signals: {why}")))?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if ASKED.swap(true, Ordering::SeqCst) {
                // Servers carry a parent-death signal, so that they end too.
                std::process::exit(130);
            }
            if let Some(pid) = *lock(&FOREGROUND) {
                terminate(pid);
            }
            if let Some(listener) = LISTENER.get().and_then(|l| lock(l).take()) {
                // Nobody listens any more: then nobody waits either.
                let _ = listener.send(());
            }
        }
    });
    Ok(())
}

/// Whether the person asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Sends one message when the person asks to stop; at once when that has happened.
pub fn tell(listener: Sender<()>) {
    if asked() {
        let _ = listener.send(());
    } else if let Some(slot) = LISTENER.get() {
        *lock(slot) = Some(listener);
    }
}

/// While this lives, the first signal also terminates `child`.
pub struct Foreground;

impl Foreground {
    /// Makes `child` the one that is waited for.
    pub fn new(child: &Child) -> Self {
        *lock(&FOREGROUND) = Some(Pid::from_child(child));
        Self
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        *lock(&FOREGROUND) = None;
    }
}

/// Asks a process of ours to end. One that is gone already is as good.
pub fn terminate(pid: Pid) {
    let _ = kill_process(pid, Signal::TERM);
}

/// Ends a process of ours that did not listen.
pub fn kill(pid: Pid) {
    let _ = kill_process(pid, Signal::KILL);
}

/// These locks guard plain values, which a panic elsewhere cannot leave half-changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
