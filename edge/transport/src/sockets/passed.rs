//! Sockets that systemd has opened for us (`sd_listen_fds(3)`): one descriptor for each address
//! and worker, `ReusePort=yes`.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::RawFd,
};

use socket2::{Socket, Type};

use super::{Bound, raw, steering};

/// First descriptor that systemd passes.
const FIRST: RawFd = 3;

/// More would be a mistake: 64 workers on 16 addresses.
const MOST: usize = 1024;

/// What was passed is no use.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// The variable is no number, or too large.
    #[error("LISTEN_FDS is {0:?}; expected a number up to {MOST}")]
    Count(String),
    /// A descriptor is not what the variable says.
    #[error("descriptor {number}, passed by the service manager, is no TCP or UDP socket")]
    Descriptor {
        /// Its number.
        number: RawFd,
        /// Why.
        source: io::Error,
    },
}

/// The sockets that were passed, by address, in the order of their descriptors.
#[derive(Debug, Default)]
pub struct Passed(Vec<Bound>);

impl Passed {
    /// Takes the sockets of `address`, if some were passed.
    pub fn take(&mut self, address: SocketAddr) -> Option<Bound> {
        let at = self.0.iter().position(|bound| bound.address == address)?;
        Some(self.0.swap_remove(at))
    }

    /// Addresses that nobody has taken: configured at the service manager, but not here.
    pub fn left(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|bound| bound.address)
    }

    fn add(&mut self, socket: Socket) -> io::Result<()> {
        let not_ip = || io::Error::from(io::ErrorKind::InvalidInput);
        let address = socket.local_addr()?.as_socket().ok_or_else(not_ip)?;
        socket.set_nonblocking(true)?;
        let kind = socket.r#type()?;
        let at = self.0.iter().position(|bound| bound.address == address);
        let at = at.unwrap_or_else(|| {
            self.0.push(Bound { address, tcp: Vec::new(), udp: Vec::new() });
            self.0.len() - 1
        });
        let bound = &mut self.0[at];
        if kind == Type::STREAM {
            bound.tcp.push(TcpListener::from(socket));
        } else if kind == Type::DGRAM {
            if bound.udp.is_empty() {
                steering::attach(&socket)?;
            }
            bound.udp.push(UdpSocket::from(socket));
        } else {
            return Err(not_ip());
        }
        Ok(())
    }
}

/// Takes the sockets that `LISTEN_PID` and `LISTEN_FDS` announce; both come from the caller, who
/// reads the environment. Call it once, before anything else opens a file.
pub fn passed_by_systemd(
    listen_pid: Option<&str>,
    listen_fds: Option<&str>,
) -> Result<Passed, PassedError> {
    let mut passed = Passed::default();
    // For another process: a parent that did not clean its environment.
    if listen_pid.and_then(|pid| pid.parse().ok()) != Some(std::process::id()) {
        return Ok(passed);
    }
    let Some(text) = listen_fds else { return Ok(passed) };
    let count: usize = text.parse().map_err(|_| PassedError::Count(text.to_owned()))?;
    if count > MOST {
        return Err(PassedError::Count(text.to_owned()));
    }
    for number in (FIRST..).take(count) {
        let socket = raw::take_inherited(number).map(Socket::from);
        socket
            .and_then(|socket| passed.add(socket))
            .map_err(|source| PassedError::Descriptor { number, source })?;
    }
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{bind, open};

    #[test]
    fn only_what_is_meant_for_this_process() {
        let me = std::process::id().to_string();
        assert!(passed_by_systemd(None, Some("3")).unwrap().0.is_empty());
        assert!(passed_by_systemd(Some("1"), Some("3")).unwrap().0.is_empty());
        assert!(passed_by_systemd(Some(&me), None).unwrap().0.is_empty());
        for text in ["x", "-1", "99999"] {
            let error = passed_by_systemd(Some(&me), Some(text)).unwrap_err();
            assert!(matches!(error, PassedError::Count(_)), "{text}: {error}");
        }
    }

    #[test]
    fn sockets_are_grouped_by_address() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 2, true).unwrap();
        let address = bound.address;
        let mut passed = Passed::default();
        for socket in bound.tcp {
            passed.add(socket.into()).unwrap();
        }
        for socket in bound.udp {
            passed.add(socket.into()).unwrap();
        }
        assert_eq!(passed.left().collect::<Vec<_>>(), [address]);
        let taken = passed.take(address).unwrap();
        assert_eq!((taken.tcp.len(), taken.udp.len()), (2, 2));
        assert!(passed.take(address).is_none());
        // A raw or Unix socket is nothing we can serve on.
        let unix = Socket::new(socket2::Domain::UNIX, Type::STREAM, None).unwrap();
        assert!(passed.add(unix).is_err());
        assert!(open(address, Type::STREAM).is_ok());
    }
}
