//! QUIC packets find their worker by connection id, not by the client's address: a client that
//! moves from one network to another hashes to another worker's socket, where nobody knows it.
//!
//! A connection id of ours is
//!
//! | byte | |
//! |---|---|
//! | 0 | index of the worker |
//! | 1 | generation of the process, so that its successor can tell the ids apart |
//! | 2..8 | random |

use std::io;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use libc::sock_filter;
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use socket2::Socket;

use super::raw;

/// Length of our connection ids; what is random in them outlives guessing.
pub const CID_BYTES: usize = 8;

/// First bit of a packet with a long header (RFC 9000 §17.2).
const LONG_HEADER: u32 = 0x80;

/// No worker has this index; the kernel falls back to its hash of the addresses.
const BY_HASH: u32 = u32::MAX;

/// Steers the packets of `socket`'s group. The kernel numbers the sockets in the order they were
/// bound, which is the order of the workers.
pub(super) fn attach(socket: &Socket) -> io::Result<()> {
    raw::attach_reuseport_program(socket, &program())
}

fn program() -> [sock_filter; 5] {
    let op = |code: u32, jt: u8, jf: u8, k: u32| sock_filter {
        code: u16::try_from(code).expect("BPF opcodes are 16 bits"),
        jt,
        jf,
        k,
    };
    let load_byte = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    let jump_if_set = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    [
        // Offset 0 is the first byte of the UDP payload. A packet that is too short ends the
        // program with 0: worker 0 throws it away.
        op(load_byte, 0, 0, 0),
        op(jump_if_set, 2, 0, LONG_HEADER),
        // A short header: its destination connection id is ours, byte 0 of it the worker.
        op(load_byte, 0, 0, 1),
        op(libc::BPF_RET | libc::BPF_A, 0, 0, 0),
        // A long header: the handshake, whose connection id the client may have chosen. It does
        // not move before the handshake is confirmed (RFC 9000 §9).
        op(libc::BPF_RET | libc::BPF_K, 0, 0, BY_HASH),
    ]
}

/// Makes the connection ids of one worker.
#[derive(Debug, Clone, Copy)]
pub struct Steering {
    /// Index of the worker, as its UDP socket was bound.
    pub worker: u8,
    /// Generation of the process.
    pub generation: u8,
}

impl ConnectionIdGenerator for Steering {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CID_BYTES];
        SystemRandom::new().fill(&mut id[2..]).expect("the kernel gives random bytes");
        id[0] = self.worker;
        id[1] = self.generation;
        ConnectionId::new(&id)
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        // A stray id of another worker or process is not worth a stateless reset from here: only
        // the owner knows whether it is dead.
        if id.len() == CID_BYTES && id[0] == self.worker { Ok(()) } else { Err(InvalidCid) }
    }

    fn cid_len(&self) -> usize {
        CID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Duration};

    use super::*;
    use crate::sockets::bind_udp;

    /// Sends each packet from many addresses and says which sockets have got it.
    fn reached(sockets: &[UdpSocket], packet: &[u8]) -> Vec<usize> {
        let to = sockets[0].local_addr().unwrap();
        for _ in 0..64 {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.send_to(packet, to).unwrap();
        }
        // Loopback delivers before `send_to` returns.
        (0..sockets.len())
            .filter(|at| {
                let mut seen = false;
                while sockets[*at].recv(&mut [0; 64]).is_ok() {
                    seen = true;
                }
                seen
            })
            .collect()
    }

    #[test]
    fn short_headers_go_to_the_worker_in_the_id_and_long_ones_by_hash() {
        let (_, sockets) = bind_udp("127.0.0.1:0".parse().unwrap(), 4).unwrap();
        for worker in 0..4 {
            let id = Steering { worker, generation: 7 }.generate_cid();
            let mut packet = vec![0x40];
            packet.extend_from_slice(&id);
            assert_eq!(reached(&sockets, &packet), [usize::from(worker)]);
            packet[0] = 0xc0;
            assert!(reached(&sockets, &packet).len() > 1, "64 addresses, one socket");
        }
        // An id that no worker has made.
        assert!(reached(&sockets, &[0x40, 200, 0, 0]).len() > 1);
        assert_eq!(reached(&sockets, &[0x40]), [0]);
        assert_eq!(Steering { worker: 0, generation: 0 }.cid_lifetime(), None::<Duration>);
    }
}
