//! What the process tells the service manager that started it, by the protocol of
//! `sd_notify(3)`: lines in datagrams to a Unix socket.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::Arc,
    time::Duration,
};

use thiserror::Error;

use crate::readiness::{Phase, Readiness};

/// A manager that does not read for so long does not hold us up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The manager that asked to be told cannot be.
#[derive(Debug, Error)]
#[error("NOTIFY_SOCKET is {socket:?}, and nothing can be sent there")]
pub struct NotifyError {
    /// What the variable says.
    pub socket: String,
    /// Why.
    pub source: io::Error,
}

/// Tells the service manager; says nothing where none asked. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl Notifier {
    /// To the socket that `NOTIFY_SOCKET` names, a path or `@` and an abstract name; the caller
    /// reads the environment.
    ///
    /// # Errors
    /// When the name is none, or the host has no socket for us.
    pub fn new(notify_socket: Option<&OsStr>) -> Result<Self, NotifyError> {
        let Some(name) = notify_socket.filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let open = || {
            let to = match name.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
                [b'/', ..] => SocketAddr::from_pathname(name)?,
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(Inner { socket, to })
        };
        let failed = |source| NotifyError { socket: name.to_string_lossy().into_owned(), source };
        Ok(Self(Some(Arc::new(open().map_err(failed)?))))
    }

    /// It serves; `status` is what `systemctl status` shows. Also the end of a reload.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// It takes its configuration anew; [`ready`](Self::ready) follows, whatever comes of it.
    pub fn reloading(&self) {
        self.say("RELOADING=1\nSTATUS=reading the configuration");
    }

    /// It takes no more and finishes what is under way.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=draining");
    }

    /// What `systemctl status` shows.
    pub fn status(&self, status: &str) {
        self.say(&format!("STATUS={}", line(status)));
    }

    /// It is well: the next one is due within `WATCHDOG_USEC`.
    pub fn beat(&self) {
        self.say("WATCHDOG=1");
    }

    /// Says when the process serves and when it drains, until it is stopped.
    pub async fn follow(self, readiness: Readiness, serving: String) {
        readiness.reached(Phase::Serving).await;
        if readiness.phase() == Phase::Serving {
            self.ready(&serving);
        }
        readiness.reached(Phase::Draining).await;
        self.stopping();
    }

    fn say(&self, state: &str) {
        let Some(inner) = &self.0 else { return };
        // One that is lost is said again (a beat), or is no more than words.
        if let Err(error) = inner.socket.send_to_addr(state.as_bytes(), &inner.to) {
            tracing::warn!(%error, state, "the service manager cannot be told");
        }
    }
}

/// The protocol ends an entry with the line.
fn line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        os::{linux::net::SocketAddrExt, unix::net::SocketAddr},
        path::Path,
    };

    use super::*;

    fn heard(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Names that no other test of this process or of another one has.
    fn name(of: &str) -> String {
        format!("weir-notify-{of}-{}", std::process::id())
    }

    #[test]
    fn each_state_as_the_protocol_writes_it() {
        let abstract_name = name("states");
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let name = format!("@{abstract_name}");
        let notifier = Notifier::new(Some(OsStr::new(&name))).unwrap();
        let check = |say: &dyn Fn(&Notifier), expected: &str| {
            say(&notifier);
            assert_eq!(heard(&manager), expected);
        };
        check(&|n| n.ready("serving\nFDSTORE=1"), "READY=1\nSTATUS=serving");
        check(&Notifier::reloading, "RELOADING=1\nSTATUS=reading the configuration");
        check(&Notifier::stopping, "STOPPING=1\nSTATUS=draining");
        check(&|n| n.status("well"), "STATUS=well");
        check(&Notifier::beat, "WATCHDOG=1");
    }

    #[test]
    fn a_path_serves_as_well() {
        let path = std::env::temp_dir().join(name("path"));
        drop(std::fs::remove_file(&path));
        let manager = UnixDatagram::bind(&path).unwrap();
        Notifier::new(Some(path.as_os_str())).unwrap().beat();
        assert_eq!(heard(&manager), "WATCHDOG=1");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn where_nobody_asked_nothing_is_said() {
        for none in [None, Some(OsStr::new(""))] {
            Notifier::new(none).unwrap().ready("serving");
        }
        for wrong in ["run/notify", "vsock:2:1234"] {
            let error = Notifier::new(Some(OsStr::new(wrong))).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
        // A manager that is gone.
        let gone = Path::new("/nonexistent/notify");
        Notifier::new(Some(gone.as_os_str())).unwrap().beat();
    }

    #[tokio::test]
    async fn it_follows_the_phases() {
        let abstract_name = name("phases");
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let name = format!("@{abstract_name}");
        let notifier = Notifier::new(Some(OsStr::new(&name))).unwrap();
        let readiness = Readiness::default();
        let following = tokio::spawn(notifier.follow(readiness.clone(), "serving".into()));
        readiness.advance(Phase::Serving);
        let manager = tokio::task::spawn_blocking(move || {
            assert_eq!(heard(&manager), "READY=1\nSTATUS=serving");
            manager
        });
        let manager = manager.await.unwrap();
        readiness.advance(Phase::Draining);
        following.await.unwrap();
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=draining");
    }
}
