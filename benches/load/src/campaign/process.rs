//! A child process whose words are kept, and which ends when it is dropped.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::error::CampaignError;

/// Between two looks at a process that starts or ends.
const LOOK: Duration = Duration::from_millis(20);
/// For a process that is not wanted any more to end by itself.
const LAST: Duration = Duration::from_secs(1);
/// Of the log, in an error.
const WORDS: usize = 3000;

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it says goes to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self, CampaignError> {
        let file = |source| CampaignError::File { path: log.to_owned(), source };
        // A program that is started again goes on in the same log.
        let out = File::options().create(true).append(true).open(log).map_err(file)?;
        let err = out.try_clone().map_err(file)?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.map_err(|source| CampaignError::Process {
            program: name.to_owned(),
            what: format!("did not start: {source}"),
            words: String::new(),
        })?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it said.
    pub fn words(&self) -> String {
        let all = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&all[all.len().saturating_sub(WORDS)..]).into_owned()
    }

    fn fails(&self, what: String) -> CampaignError {
        CampaignError::Process { program: self.name.clone(), what, words: self.words() }
    }

    /// Waits until `ready` says so, for at most `patience`.
    pub fn wait_until(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), CampaignError> {
        let begun = Instant::now();
        while !ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.fails(format!("ended at its start ({status})")));
            }
            if begun.elapsed() > patience {
                return Err(self.fails(format!("is not ready after {patience:?}")));
            }
            pause();
        }
        Ok(())
    }

    /// Whether it still runs.
    pub fn check(&mut self) -> Result<(), CampaignError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(self.fails(format!("ended by itself ({status})"))),
            _ => Ok(()),
        }
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self, patience: Duration) -> Result<(), CampaignError> {
        self.rest(patience)
    }

    /// The same for one that will be started again.
    pub fn rest(&mut self, patience: Duration) -> Result<(), CampaignError> {
        self.terminate();
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Ok(Some(status)) = self.child.try_wait() {
                if status.success() {
                    return Ok(());
                }
                return Err(self.fails(format!("ended badly ({status})")));
            }
            pause();
        }
        Err(self.fails(format!("did not end within {patience:?}")))
    }

    /// Kills it (SIGKILL) and waits until the kernel has taken everything back.
    pub fn kill(&mut self) -> Result<(), CampaignError> {
        self.check()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn terminate(&self) {
        // Signals need unsafe code or a program; a child that is gone is what was wanted.
        let kill = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        drop(kill);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // A killed master would leave its workers behind.
            self.terminate();
            let begun = Instant::now();
            while begun.elapsed() < LAST && matches!(self.child.try_wait(), Ok(None)) {
                pause();
            }
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a child process has no event to wait for")]
fn pause() {
    std::thread::sleep(LOOK);
}

/// A loopback address whose port is free for TCP and UDP.
pub fn free_address() -> Result<SocketAddr, CampaignError> {
    for _ in 0..32 {
        let tcp = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        let address = tcp.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(CampaignError::Unfit("no port is free for both TCP and UDP".into()))
}

/// Whether somebody listens there.
pub fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// The status of a plain GET, asked once.
pub fn status_of(address: SocketAddr, path: &str) -> Option<u16> {
    use std::io::{Read, Write};
    let patience = Some(Duration::from_secs(1));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
    stream.set_read_timeout(patience).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head[9..]).ok()?.parse().ok()
}
