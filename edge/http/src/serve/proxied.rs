//! Connections that proxies carry: each begins with a header that says for whom (`proxy.rs`).

use std::{io, net::SocketAddr};

use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use crate::{
    gate::Refused,
    limits::Limits,
    proxy::{FIXED, ProxyError, REST_MAX, start},
    serve::door::{Door, Inside},
};

/// Why a connection of a proxy goes no further.
#[derive(Debug, thiserror::Error)]
enum Unannounced {
    #[error("the proxy sent no header in time")]
    Late,
    #[error("the proxy left within its header")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Header(#[from] ProxyError),
}

/// Whose connection it is, and that one's right to be in. Reads the header and no byte behind it.
pub(crate) async fn announced(
    socket: &mut TcpStream,
    proxy: SocketAddr,
    door: &Door,
    limits: &Limits,
) -> Option<(SocketAddr, Inside)> {
    let header = timeout(door.handshake(limits), header(socket)).await;
    let client = match header.unwrap_or(Err(Unannounced::Late)) {
        Ok(client) => client,
        Err(error) => {
            tracing::debug!(%proxy, %error, "refused");
            door.count(Refused::ProxyHeader);
            let _ = socket.set_zero_linger();
            return None;
        }
    };
    // It comes for itself: looks whether we are well, most likely.
    let Some(client) = client else { return Some((proxy, Inside::default())) };
    match door.announced(client) {
        Ok(inside) => Some((client, inside)),
        Err(why) => {
            tracing::debug!(%client, %proxy, why = why.as_str(), "refused");
            let _ = socket.set_zero_linger();
            None
        }
    }
}

async fn header(socket: &mut TcpStream) -> Result<Option<SocketAddr>, Unannounced> {
    let (mut fixed, mut rest) = ([0; FIXED], [0; REST_MAX]);
    socket.read_exact(&mut fixed).await?;
    let start = start(&fixed)?;
    let rest = &mut rest[..start.rest];
    socket.read_exact(rest).await?;
    Ok(start.source(rest)?)
}
