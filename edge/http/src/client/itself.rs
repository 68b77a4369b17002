//! One request over HTTP/3 to this very process: what a trace is made with. What an edge fetches
//! goes over TCP; there is no pool here and nothing is repeated.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use tokio::time::Instant;
use weir_edge_transport::quic::Endpoint;

/// Why there is no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum H3Error {
    /// QUIC did not come to stand.
    #[error("cannot connect to {address} over QUIC: {reason}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What QUIC said.
        reason: String,
    },
    /// The exchange broke off.
    #[error("the exchange over HTTP/3 broke off: {0}")]
    Broken(String),
}

/// A request that was answered, with its body still to come.
pub struct H3Answer {
    /// Until the connection stood, TLS included.
    pub connect: Duration,
    /// From then until the answer's head.
    pub head: Duration,
    /// Its head.
    pub response: Response<()>,
    stream: h3::client::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>,
    /// The connection ends with the last of these.
    _sender: h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>,
}

/// Asks `address` as `host` is asked; the URI of the request is absolute.
///
/// # Errors
/// See [`H3Error`]. The deadline is the caller's.
pub async fn ask_over_quic(
    endpoint: &Endpoint,
    address: SocketAddr,
    host: &str,
    request: Request<()>,
) -> Result<H3Answer, H3Error> {
    let begun = Instant::now();
    let unreached = |reason: String| H3Error::Connect { address, reason };
    let connecting =
        endpoint.connect(address, host).map_err(|error| unreached(error.to_string()))?;
    let connection = connecting.await.map_err(|error| unreached(error.to_string()))?;
    let connect = begun.elapsed();
    let connection = h3_quinn::Connection::new(connection);
    let (mut driver, mut sender) = h3::client::new(connection).await.map_err(broken)?;
    // How it ends is seen by the exchange.
    tokio::spawn(async move { drop(std::future::poll_fn(|cx| driver.poll_close(cx)).await) });
    let mut stream = sender.send_request(request).await.map_err(broken)?;
    stream.finish().await.map_err(broken)?;
    let response = stream.recv_response().await.map_err(broken)?;
    let head = begun.elapsed() - connect;
    Ok(H3Answer { connect, head, response, stream, _sender: sender })
}

impl H3Answer {
    /// Bytes of the next piece of the body; none at its end.
    ///
    /// # Errors
    /// Where it broke off.
    pub async fn piece(&mut self) -> Result<Option<usize>, H3Error> {
        let piece = self.stream.recv_data().await.map_err(broken)?;
        Ok(piece.map(|piece| piece.remaining()))
    }
}

fn broken(error: impl std::fmt::Display) -> H3Error {
    H3Error::Broken(error.to_string())
}
