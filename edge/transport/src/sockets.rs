//! Listening sockets: one for each worker on each address, so that the kernel spreads
//! connections and no worker waits for another's lock.

mod passed;
mod raw;
mod steering;

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

pub use passed::{Passed, PassedError, passed_by_systemd};
pub use steering::{CID_BYTES, Steering};

/// Connections that wait to be accepted, for each listener.
pub const BACKLOG: i32 = 4096;

/// Kernel buffer of a UDP socket, each way, as far as the system's limit allows: a burst of
/// 4 MiB is 30 ms at 1 Gbit/s.
pub const UDP_BUFFER: usize = 4 << 20;

/// Bytes that were written to a TCP socket and have not come to its peer's host, as far as that
/// has said.
pub fn unacknowledged(socket: &impl AsFd) -> io::Result<u64> {
    raw::unacknowledged(socket.as_fd())
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody is there already.
    #[error("{protocol} {address} is in use by another process; stop it or choose another port")]
    InUse {
        /// What was asked for.
        address: SocketAddr,
        /// `tcp` or `udp`.
        protocol: &'static str,
    },
    /// Not for this user.
    #[error(
        "no permission to listen on {protocol} {address}; ports below 1024 need \
         CAP_NET_BIND_SERVICE"
    )]
    Denied {
        /// What was asked for.
        address: SocketAddr,
        /// `tcp` or `udp`.
        protocol: &'static str,
    },
    /// No interface has it.
    #[error("this host does not have the address of {protocol} {address}")]
    NoAddress {
        /// What was asked for.
        address: SocketAddr,
        /// `tcp` or `udp`.
        protocol: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {protocol} {address}")]
    Other {
        /// What was asked for.
        address: SocketAddr,
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, protocol: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, protocol },
            io::ErrorKind::PermissionDenied => Self::Denied { address, protocol },
            io::ErrorKind::AddrNotAvailable => Self::NoAddress { address, protocol },
            _ => Self::Other { address, protocol, source },
        }
    }
}

/// The sockets of one address, one of a kind for each worker.
#[derive(Debug)]
pub struct Bound {
    /// With the port that was found where 0 was asked for.
    pub address: SocketAddr,
    /// One listener for each worker.
    pub tcp: Vec<TcpListener>,
    /// One socket for each worker, steered by [`Steering`]; empty where no QUIC is wanted.
    pub udp: Vec<UdpSocket>,
}

/// Listens with `workers` TCP sockets, and as many UDP sockets on the same port where `quic`.
/// An IPv6 address takes IPv6 only. Port 0 finds a port that is free for both.
pub fn bind(address: SocketAddr, workers: usize, quic: bool) -> Result<Bound, BindError> {
    // A port that TCP finds may be taken on UDP; try a few.
    let mut attempts = if address.port() == 0 && quic { 16 } else { 1 };
    loop {
        attempts -= 1;
        let (found, tcp) = bind_tcp(address, workers)?;
        if !quic {
            return Ok(Bound { address: found, tcp, udp: Vec::new() });
        }
        match bind_udp(found, workers) {
            Ok((_, udp)) => return Ok(Bound { address: found, tcp, udp }),
            Err(BindError::InUse { .. }) if attempts > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

/// Listens with `workers` TCP sockets; also says on which port.
pub fn bind_tcp(
    address: SocketAddr,
    workers: usize,
) -> Result<(SocketAddr, Vec<TcpListener>), BindError> {
    let failed = |source| BindError::new(address, "tcp", source);
    // SO_REUSEPORT would let us join a group of our own user's, a server left behind for
    // example, and half of the clients would reach it. A plain bind first shows it.
    probe(address, Type::STREAM).map_err(failed)?;
    let (address, sockets) = group(address, workers, Type::STREAM).map_err(failed)?;
    for socket in &sockets {
        socket.listen(BACKLOG).map_err(failed)?;
    }
    Ok((address, sockets.into_iter().map(Into::into).collect()))
}

/// Binds `workers` UDP sockets and steers packets among them; also says on which port.
pub fn bind_udp(
    address: SocketAddr,
    workers: usize,
) -> Result<(SocketAddr, Vec<UdpSocket>), BindError> {
    let failed = |source| BindError::new(address, "udp", source);
    probe(address, Type::DGRAM).map_err(failed)?;
    let (address, sockets) = group(address, workers, Type::DGRAM).map_err(failed)?;
    for socket in &sockets {
        // The system's limit may be lower; it then gives what it allows.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
        let _ = socket.set_send_buffer_size(UDP_BUFFER);
    }
    if let Some(first) = sockets.first() {
        steering::attach(first).map_err(failed)?;
    }
    Ok((address, sockets.into_iter().map(Into::into).collect()))
}

fn probe(address: SocketAddr, kind: Type) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = open(address, kind)?;
    if kind == Type::STREAM {
        // Connections of the last server that linger in TIME_WAIT are no obstacle.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())
}

fn group(
    mut address: SocketAddr,
    workers: usize,
    kind: Type,
) -> io::Result<(SocketAddr, Vec<Socket>)> {
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = open(address, kind)?;
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        }
        socket.set_reuse_port(true)?;
        socket.bind(&SockAddr::from(address))?;
        if let Some(found) = socket.local_addr()?.as_socket() {
            address = found;
        }
        sockets.push(socket);
    }
    Ok((address, sockets))
}

fn open(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_has_its_socket_on_one_port() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let bound = bind(address.parse().unwrap(), 3, true).unwrap();
            assert_ne!(bound.address.port(), 0);
            assert_eq!((bound.tcp.len(), bound.udp.len()), (3, 3));
            for at in 0..3 {
                assert_eq!(bound.tcp[at].local_addr().unwrap(), bound.address);
                assert_eq!(bound.udp[at].local_addr().unwrap(), bound.address);
            }
        }
    }

    #[test]
    fn an_address_in_use_is_refused_even_to_ourselves() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 2, true).unwrap();
        let error = bind_tcp(bound.address, 1).unwrap_err();
        assert!(matches!(error, BindError::InUse { protocol: "tcp", .. }), "{error}");
        let error = bind_udp(bound.address, 1).unwrap_err();
        assert!(matches!(error, BindError::InUse { protocol: "udp", .. }), "{error}");
        drop(bound);
    }

    #[test]
    fn an_address_of_somebody_else_is_refused() {
        let error = bind("192.0.2.1:0".parse().unwrap(), 1, false).unwrap_err();
        assert!(matches!(error, BindError::NoAddress { .. }), "{error}");
    }
}
