//! The servers of a run: started in groups of their own, watched, and ended in order. They
//! carry a parent-death signal, and what a killed run left behind is found by its pid file.

use std::{
    fs::{self, TryLockError},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Pid;

use crate::{
    Failure, files, http,
    run::{append, find, tail},
    say, signals,
};

/// Between two looks at something that is about to change.
const LOOK: Duration = Duration::from_millis(50);
/// Recovery of a full disk tier fits in this.
const READY: Duration = Duration::from_secs(60);
/// Servers end by themselves within their own deadline of 5 s.
const END: Duration = Duration::from_secs(15);

/// What happened while nobody looked.
#[derive(Debug)]
pub enum Event {
    /// A server ended.
    Ended {
        /// Its name.
        name: String,
        /// How, as the system words it.
        how: String,
    },
    /// The person asked to stop.
    Asked,
}

#[derive(Debug)]
struct Server {
    name: String,
    pid: Pid,
    pid_file: PathBuf,
    log: PathBuf,
    from: u64,
    running: bool,
}

/// The servers that run; dropping it ends them, the last started first.
#[derive(Debug)]
pub struct Servers {
    dir: PathBuf,
    servers: Vec<Server>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// Held while this lives, so that no second run uses the directory.
    _lock: fs::File,
}

impl Servers {
    /// Takes `dir` for this run: refuses when another run has it, ends what a killed one left.
    pub fn take(dir: &Path) -> Result<Self, Failure> {
        files::directory(dir)?;
        let path = dir.join("lock");
        let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|why| Failure::path("write", &path, &why))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(format!(
                    "another `cargo xtask up` uses {}; end it with Ctrl-C where it runs, or give \
                     this one a directory of its own with --dir",
                    dir.display()
                )));
            }
            Err(TryLockError::Error(why)) => return Err(Failure::path("lock", &path, &why)),
        }
        signals::take()?;
        let (sender, events) = mpsc::channel();
        let servers =
            Self { dir: dir.to_owned(), servers: Vec::new(), events, sender, _lock: lock };
        servers.end_leftovers()?;
        let (asked, heard) = mpsc::channel();
        signals::tell(asked);
        let sender = servers.sender.clone();
        thread::spawn(move || {
            if heard.recv().is_ok() {
                // When nobody listens any more, everything has ended already.
                let _ = sender.send(Event::Asked);
            }
        });
        Ok(servers)
    }

    /// Starts a server and waits until `/readyz` at `admin` answers 200. Call it from the main
    /// thread: the parent-death signal fires when the thread that started a child ends.
    pub fn start(
        &mut self,
        name: &str,
        program: &Path,
        args: &[&str],
        admin: SocketAddr,
    ) -> Result<(), Failure> {
        let log = self.dir.join(format!("log/{name}.log"));
        let file = append(&log)?;
        let again = |why: std::io::Error| Failure::path("write", &log, &why);
        let from = file.metadata().map_err(again)?.len();
        let copy = file.try_clone().map_err(again)?;
        // util-linux, which every Debian has; without it only the pid file finds leftovers.
        let mut command = match find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(args).stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0);
        let child = command.spawn();
        let mut child = child.map_err(|why| Failure::path("run", program, &why))?;
        let pid = Pid::from_child(&child);
        let pid_file = self.dir.join(format!("run/{name}.pid"));
        let (sender, who) = (self.sender.clone(), name.to_owned());
        thread::spawn(move || {
            let how = child.wait().map_or_else(|why| why.to_string(), |status| status.to_string());
            let _ = sender.send(Event::Ended { name: who, how });
        });
        let name = name.to_owned();
        self.servers.push(Server { name, pid, pid_file, log, from, running: true });
        let server = self.servers.last().expect("it was just pushed");
        let born = born(server.pid.as_raw_nonzero().get()).unwrap_or_default();
        let mark = format!("{} {born}\n", server.pid.as_raw_nonzero());
        files::write(&server.pid_file.clone(), mark.as_bytes())?;
        self.wait_ready(admin)
    }

    fn wait_ready(&mut self, admin: SocketAddr) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut last = String::from("it did not answer");
        while begun.elapsed() < READY {
            match http::ask(admin, "GET", "/readyz", &[], b"") {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => {
                    let body = String::from_utf8_lossy(&answer.body).trim().to_owned();
                    last = format!("/readyz says {}: {body}", answer.status);
                }
                Err(why) => last = format!("/readyz of {admin}: {why}"),
            }
            match self.next(Some(LOOK)) {
                None => {}
                Some(Event::Asked) => return Err(Failure::new("interrupted")),
                Some(Event::Ended { name, how }) => return Err(self.ended(&name, &how)),
            }
        }
        let server = self.servers.last().expect("start pushed one");
        Err(Failure::new(format!(
            "{} is not ready after {} s: {last}\n{}",
            server.name,
            READY.as_secs(),
            tail(&server.log, server.from, 25)
        )))
    }

    /// The next event, or none within `patience`; without patience it waits for ever.
    pub fn next(&mut self, patience: Option<Duration>) -> Option<Event> {
        let event = match patience {
            Some(patience) => match self.events.recv_timeout(patience) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            },
            None => self.events.recv().ok()?,
        };
        if let Event::Ended { name, .. } = &event {
            self.gone(name);
        }
        Some(event)
    }

    /// Says why a server that should be running is not.
    pub fn ended(&self, name: &str, how: &str) -> Failure {
        let server = self.servers.iter().find(|s| s.name == name);
        let said = server.map_or_else(String::new, |s| tail(&s.log, s.from, 25));
        Failure::new(format!("{name} ended by itself ({how}); its last words:\n{said}"))
    }

    fn gone(&mut self, name: &str) {
        for server in self.servers.iter_mut().filter(|s| s.name == name) {
            server.running = false;
            // A pid file that stays is seen to be stale by the next run.
            let _ = files::remove(&server.pid_file);
        }
    }

    /// Ends everything; true when all of it ended by itself when asked.
    pub fn end(&mut self) -> bool {
        let mut orderly = true;
        for at in (0..self.servers.len()).rev() {
            let (pid, name) = (self.servers[at].pid, self.servers[at].name.clone());
            if self.servers[at].running {
                signals::terminate(pid);
            }
            let begun = Instant::now();
            while self.servers[at].running && begun.elapsed() < END {
                self.next(Some(LOOK));
            }
            if self.servers[at].running {
                orderly = false;
                say::note(&format!("{name} did not end within {} s: killed", END.as_secs()));
                signals::kill(pid);
            }
        }
        orderly
    }

    fn end_leftovers(&self) -> Result<(), Failure> {
        let Ok(entries) = fs::read_dir(self.dir.join("run")) else { return Ok(()) };
        for entry in entries.flatten().filter(|e| e.path().extension().is_some_and(|x| x == "pid"))
        {
            let path = entry.path();
            let text = files::read(&path)?.unwrap_or_default();
            let mut words = text.split_whitespace();
            let (pid, when) = (words.next().and_then(|p| p.parse().ok()), words.next());
            if let Some(pid) = pid
                && when.is_some()
                && born(pid).as_deref() == when
            {
                self.end_leftover(pid, when, &path)?;
            }
            files::remove(&path)?;
        }
        Ok(())
    }

    fn end_leftover(&self, raw: i32, when: Option<&str>, path: &Path) -> Result<(), Failure> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        say::note(&format!("an earlier run left {name} behind (process {raw}): ending it"));
        let Some(pid) = Pid::from_raw(raw) else { return Ok(()) };
        for (ask, patience) in
            [(signals::terminate as fn(Pid), END), (signals::kill, Duration::from_secs(5))]
        {
            ask(pid);
            let begun = Instant::now();
            while begun.elapsed() < patience {
                if born(raw).as_deref() != when {
                    return Ok(());
                }
                // Nothing else happens yet: this waits for the next look.
                let _ = self.events.recv_timeout(LOOK);
            }
        }
        Err(Failure::new(format!("process {raw} ({name}) of an earlier run cannot be ended")))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.end();
    }
}

/// When a process began, in ticks since boot (proc(5), field 22 of stat): with its pid this
/// names a process once and for all. None when it is gone, or a zombie.
fn born(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_is_refused_and_a_leftover_ended() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = Servers::take(dir.path()).expect("nobody has it");
        let text = Servers::take(dir.path()).expect_err("the first has it").to_string();
        assert!(text.contains("--dir"), "{text}");
        drop(first);

        let mut left = Command::new("tail").args(["-f", "/dev/null"]).spawn().expect("tail starts");
        let pid = i32::try_from(left.id()).expect("pids are small");
        let mark = format!("{pid} {}\n", born(pid).expect("it runs"));
        files::write(&dir.path().join("run/edge-1.pid"), mark.as_bytes()).expect("writes");
        // Its pid is right, but it began at another time: not ours.
        files::write(&dir.path().join("run/origin.pid"), b"1 1\n").expect("writes");
        // Reaped like init does, or it would stay a zombie; either ends the wait.
        let reaper = thread::spawn(move || left.wait());
        drop(Servers::take(dir.path()).expect("the leftover ends"));
        let status = reaper.join().expect("no panic").expect("it was ours");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
        assert!(!dir.path().join("run/edge-1.pid").exists());
    }

    #[test]
    fn a_server_that_ends_is_quoted() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut servers = Servers::take(dir.path()).expect("nobody has it");
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let started =
            servers.start("edge-1", Path::new("/bin/sh"), &["-c", "echo no key; exit 4"], nobody);
        let text = started.expect_err("it ends at once").to_string();
        assert!(text.contains("edge-1 ended") && text.contains("no key"), "{text}");
        assert!(text.contains("exit status: 4"), "{text}");
    }
}
