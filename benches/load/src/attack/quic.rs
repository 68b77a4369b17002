//! First datagrams of QUIC connections that nobody goes on with.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use quinn_proto::{ClientConfig, Endpoint, EndpointConfig, crypto::rustls::QuicClientConfig};
use tokio::{net::UdpSocket, time::interval};

use super::{Aim, Tally};

const EVERY: Duration = Duration::from_millis(10);
/// In each of these 10 ms.
const BURST: usize = 30;
/// Source ports.
const SOCKETS: usize = 64;
/// Connections of one endpoint of ours, which keeps something of each.
const OF_ONE: usize = 1000;

/// Makes the first datagram of a connection again and again.
struct Maker {
    config: ClientConfig,
    endpoint: Endpoint,
    made: usize,
    server: SocketAddr,
    name: String,
}

impl Maker {
    fn new(aim: &Aim) -> io::Result<Self> {
        let quic = QuicClientConfig::try_from(Arc::clone(&aim.target.h3));
        let quic = quic.map_err(io::Error::other)?;
        Ok(Self {
            config: ClientConfig::new(Arc::new(quic)),
            endpoint: endpoint(),
            made: 0,
            server: aim.target.h1.address,
            name: aim.target.h1.name.clone(),
        })
    }

    fn next(&mut self) -> io::Result<Vec<u8>> {
        if self.made == OF_ONE {
            self.endpoint = endpoint();
            self.made = 0;
        }
        self.made += 1;
        let now = std::time::Instant::now();
        let connect = self.endpoint.connect(now, self.config.clone(), self.server, &self.name);
        let (_, mut connection) = connect.map_err(io::Error::other)?;
        let mut datagram = Vec::new();
        let sent = connection.poll_transmit(now, 1, &mut datagram);
        let sent = sent.ok_or_else(|| io::Error::other("a new connection sends nothing"))?;
        datagram.truncate(sent.size);
        Ok(datagram)
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None)
}

pub(super) async fn initials(aim: &Aim, tally: &Tally) -> io::Result<()> {
    let mut maker = Maker::new(aim)?;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let socket = UdpSocket::bind((aim.from, 0)).await?;
        socket.connect(aim.target.h1.address).await?;
        sockets.push(socket);
    }
    let mut beat = interval(EVERY);
    let mut sent = 0_usize;
    loop {
        beat.tick().await;
        for _ in 0..BURST {
            let datagram = maker.next()?;
            // A full queue drops, as a network does.
            if sockets[sent % SOCKETS].try_send(&datagram).is_ok() {
                tally.add("datagrams", 1);
                tally.add("bytes sent", datagram.len() as u64);
            }
            sent += 1;
        }
        for socket in &sockets {
            listen(socket, tally);
        }
    }
}

/// Counts what came back, by the kind of packet (RFC 9000 §17.2).
fn listen(socket: &UdpSocket, tally: &Tally) {
    let mut bytes = [0; 2048];
    while let Ok(length) = socket.try_recv(&mut bytes) {
        tally.add("bytes answered", length as u64);
        tally.add(kind(&bytes[..length]), 1);
    }
}

fn kind(datagram: &[u8]) -> &'static str {
    let Some(&first) = datagram.first() else { return "answered with nothing" };
    if first & 0x80 == 0 {
        return "answered: short header";
    }
    if datagram.get(1..5) == Some(&[0; 4]) {
        return "answered: version negotiation";
    }
    match first >> 4 & 3 {
        0 => "answered: initial",
        1 => "answered: 0-RTT",
        2 => "answered: handshake",
        _ => "answered: retry",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_packets() {
        let check = |datagram: &[u8], expected| assert_eq!(kind(datagram), expected);
        check(&[0xc0, 0, 0, 0, 1], "answered: initial");
        check(&[0xe0, 0, 0, 0, 1], "answered: handshake");
        check(&[0xf0, 0, 0, 0, 1], "answered: retry");
        check(&[0xc0, 0, 0, 0, 0], "answered: version negotiation");
        check(&[0x40], "answered: short header");
        check(&[], "answered with nothing");
    }
}
