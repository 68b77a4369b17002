//! Tells the service manager that the process is well, as long as all of its parts make
//! progress. A thread of its own: a runtime that hangs must not keep it from noticing.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    notify::Notifier,
    pulses::{Late, Pulses},
};

/// Looks within the time that the manager waits: four chances to be found well.
const LOOKS: u32 = 5;
/// Looks that a part may be late before it is spoken of: a busy host is no news.
const TOLD_AFTER: u32 = 2;

/// How often the manager wants to hear of this process, of `WATCHDOG_PID` and `WATCHDOG_USEC`;
/// nothing where it does not. The caller reads the environment.
pub fn period(pid: Option<&str>, micros: Option<&str>) -> Option<Duration> {
    // Without a process it is meant for whoever reads it.
    if pid.is_some_and(|pid| pid.parse() != Ok(std::process::id())) {
        return None;
    }
    let micros: u64 = micros?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Looks at `pulses` several times in `period`, and says that all is well where it is.
    /// `now` is a clock that only moves forward.
    ///
    /// # Errors
    /// When the host has no thread for it.
    pub fn start(
        pulses: Arc<Pulses>,
        notifier: Notifier,
        period: Duration,
        now: impl Fn() -> Duration + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let every = period / LOOKS;
        let thread = thread::Builder::new().name("watchdog".into());
        let thread = thread.spawn(move || run(&pulses, &notifier, every, &now, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has been reported.
            drop(thread.join());
        }
    }
}

fn run(
    pulses: &Pulses,
    notifier: &Notifier,
    every: Duration,
    now: &dyn Fn() -> Duration,
    stopped: &Receiver<()>,
) {
    let mut teller = Teller::default();
    loop {
        let late = pulses.look(now());
        if late.is_empty() {
            notifier.beat();
        }
        match teller.told(&late, every * TOLD_AFTER) {
            Some(Told::Stuck(what)) => {
                tracing::error!(%what, "no progress; the service manager is not told that all is well");
                notifier.status(&format!("no progress: {what}"));
            }
            Some(Told::Well) => {
                tracing::info!("all parts make progress again");
                notifier.status("serving");
            }
            None => {}
        }
        match stopped.recv_timeout(every) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Speaks of what changes, not of each look.
#[derive(Debug, Default)]
struct Teller(Vec<String>);

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Stuck(String),
    Well,
}

impl Teller {
    fn told(&mut self, late: &[Late], after: Duration) -> Option<Told> {
        let stuck: Vec<&Late> = late.iter().filter(|late| late.since >= after).collect();
        let names: Vec<String> = stuck.iter().map(|late| late.name.clone()).collect();
        if names == self.0 {
            return None;
        }
        self.0 = names;
        if stuck.is_empty() {
            return Some(Told::Well);
        }
        let each = stuck.iter().map(|l| format!("{} for {:.1} s", l.name, l.since.as_secs_f64()));
        Some(Told::Stuck(each.collect::<Vec<_>>().join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixDatagram},
        },
    };

    use super::*;

    #[test]
    fn what_the_environment_says() {
        let me = std::process::id().to_string();
        let check = |pid: Option<&str>, micros: Option<&str>, expected: Option<u64>| {
            assert_eq!(
                period(pid, micros),
                expected.map(Duration::from_secs),
                "{pid:?} {micros:?}"
            );
        };
        check(Some(&me), Some("20000000"), Some(20));
        check(None, Some("20000000"), Some(20));
        check(Some("1"), Some("20000000"), None);
        check(Some("x"), Some("20000000"), None);
        check(Some(&me), None, None);
        check(Some(&me), Some("0"), None);
        check(Some(&me), Some("-3"), None);
    }

    #[test]
    fn what_changes_is_told_once() {
        let mut teller = Teller::default();
        let late =
            |name: &str, seconds| Late { name: name.into(), since: Duration::from_secs(seconds) };
        let mut told = |late: &[Late]| teller.told(late, Duration::from_secs(8));
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[late("worker 1", 4)]), None, "a busy host");
        let stuck = Told::Stuck("worker 1 for 8.0 s".into());
        assert_eq!(told(&[late("worker 1", 8)]), Some(stuck));
        assert_eq!(told(&[late("worker 1", 12)]), None);
        assert_eq!(told(&[]), Some(Told::Well));
    }

    #[test]
    fn it_beats_as_long_as_all_are_well() {
        let name = format!("weir-watchdog-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::new(Some(OsStr::new(&format!("@{name}")))).unwrap();
        let pulses = Arc::new(Pulses::default());
        let worker = pulses.pulse("worker 0");
        let begun = std::time::Instant::now();
        let now = move || begun.elapsed();
        let period = Duration::from_millis(50);
        let watchdog = Watchdog::start(Arc::clone(&pulses), notifier, period, now).unwrap();
        let heard = || {
            let mut buffer = [0; 256];
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        assert_eq!(heard(), "WATCHDOG=1", "a part that is new is believed");
        let stuck = heard();
        assert!(stuck.starts_with("STATUS=no progress: worker 0 for"), "{stuck}");
        worker.beat();
        let well = [heard(), heard()];
        assert_eq!(well, ["WATCHDOG=1", "STATUS=serving"]);
        drop(watchdog);
    }
}
