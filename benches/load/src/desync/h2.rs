//! HTTP/2 requests written by hand, so that they can be wrong.

use std::{io, sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::fields::Attempt;
use crate::{
    Server,
    attack::{
        Tally, hpack,
        wire::{self, DATA, END_STREAM},
    },
};

/// After this much silence there is nothing more to come.
const PATIENCE: Duration = Duration::from_millis(250);

fn section(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        hpack::literal(&mut out, name, value);
    }
    out
}

/// Sends one attempt on a connection of its own; what came of it is counted.
pub async fn send(server: &Arc<Server>, attempt: &Attempt, tally: &Tally) -> io::Result<()> {
    let config = server.tls.as_ref().ok_or_else(|| io::Error::other("HTTP/2 needs TLS"))?;
    let name = ServerName::try_from(server.name.clone()).map_err(io::Error::other)?;
    let tcp = TcpStream::connect(server.address).await?;
    let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?;
    let mut out = wire::preface(&[], 0);
    let (body, trailers) = (&attempt.body, !attempt.trailers.is_empty());
    wire::section(&mut out, 1, body.is_none() && !trailers, &section(&attempt.fields));
    if let Some(body) = body {
        wire::frame(&mut out, DATA, if trailers { 0 } else { END_STREAM }, 1, body);
    }
    if trailers {
        wire::section(&mut out, 1, true, &section(&attempt.trailers));
    }
    stream.write_all(&out).await?;
    stream.flush().await?;
    // Whether the connection ends or goes on: what was said so far is counted.
    drop(timeout(PATIENCE, wire::frames(stream, tally)).await);
    Ok(())
}
