//! HTTP/3 on quinn and h3, as a client.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::Request;
use quinn::{
    Endpoint, TransportConfig, VarInt, congestion::CubicConfig, crypto::rustls::QuicClientConfig,
};

use crate::connection::{Arrival, ConnectionError, Protocol, Server, WINDOW};

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) struct H3 {
    // The last clone closes the connection; the endpoint has to outlive it.
    sender: SendRequest<OpenStreams, Bytes>,
    connection: quinn::Connection,
    _endpoint: Endpoint,
}

impl H3 {
    pub(crate) async fn open(server: &Server) -> Result<Self, ConnectionError> {
        let tls = server.tls.as_ref().ok_or(ConnectionError::NeedsTls(Protocol::H3))?;
        let quic = QuicClientConfig::try_from(Arc::clone(tls)).map_err(said)?;
        let mut config = quinn::ClientConfig::new(Arc::new(quic));
        let mut transport = TransportConfig::default();
        transport
            .stream_receive_window(VarInt::from_u32(WINDOW))
            .receive_window(VarInt::from_u32(4 * WINDOW))
            .keep_alive_interval(Some(Duration::from_secs(5)))
            .congestion_controller_factory(Arc::new(CubicConfig::default()));
        config.transport_config(Arc::new(transport));
        let any: SocketAddr = if server.address.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let mut endpoint = Endpoint::client(any)?;
        endpoint.set_default_client_config(config);
        let connecting = endpoint.connect(server.address, &server.name).map_err(said)?;
        let connection = connecting.await.map_err(said)?;
        let (mut driver, sender) =
            h3::client::new(h3_quinn::Connection::new(connection.clone())).await.map_err(said)?;
        // How the connection ends is seen by each exchange on it.
        tokio::spawn(async move { drop(std::future::poll_fn(|cx| driver.poll_close(cx)).await) });
        Ok(Self { sender, connection, _endpoint: endpoint })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    pub(crate) async fn get(
        &mut self,
        request: Request<()>,
        arrival: &mut Arrival<'_>,
    ) -> Result<(), ConnectionError> {
        let mut stream = self.sender.send_request(request).await.map_err(said)?;
        stream.finish().await.map_err(said)?;
        let (parts, ()) = stream.recv_response().await.map_err(said)?.into_parts();
        arrival.head(parts.status, parts.headers);
        while let Some(mut piece) = stream.recv_data().await.map_err(said)? {
            while piece.has_remaining() {
                let chunk = piece.chunk();
                let length = chunk.len();
                arrival.piece(chunk);
                piece.advance(length);
            }
        }
        Ok(())
    }
}

fn said(error: impl std::fmt::Display) -> ConnectionError {
    ConnectionError::Quic(error.to_string())
}
