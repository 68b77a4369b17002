//! quinn's TLS session, watched: it does not tell whether a session was resumed, and our own
//! ticket keys know.

use std::{any::Any, sync::Arc};

use quinn::{
    ConnectionId, Side,
    crypto::{
        self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, UnsupportedVersion,
        rustls::{HandshakeData, QuicServerConfig},
    },
};
use quinn_proto::{TransportError, transport_parameters::TransportParameters};

use crate::tls::tickets_opened;

/// What a QUIC handshake settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The name the client asked for.
    pub server_name: Option<String>,
    /// A ticket of ours was opened.
    pub resumed: bool,
}

impl Handshake {
    /// Of a connection that an endpoint of ours has accepted.
    pub fn of(connection: &quinn::Connection) -> Self {
        let data = connection.handshake_data();
        let data = data.and_then(|data| data.downcast::<Self>().ok());
        data.map_or_else(Self::default, |data| *data)
    }
}

pub(super) struct Observed(Arc<QuicServerConfig>);

impl Observed {
    pub(super) fn new(config: QuicServerConfig) -> Self {
        Self(Arc::new(config))
    }
}

impl crypto::ServerConfig for Observed {
    fn initial_keys(&self, version: u32, id: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        crypto::ServerConfig::initial_keys(&*self.0, version, id)
    }

    fn retry_tag(&self, version: u32, id: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.0.retry_tag(version, id, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        params: &TransportParameters,
    ) -> Box<dyn crypto::Session> {
        let inner = Arc::clone(&self.0).start_session(version, params);
        Box::new(Session { inner, resumed: false })
    }
}

struct Session {
    inner: Box<dyn crypto::Session>,
    resumed: bool,
}

impl crypto::Session for Session {
    fn initial_keys(&self, id: &ConnectionId, side: Side) -> Keys {
        self.inner.initial_keys(id, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let data = self.inner.handshake_data()?.downcast::<HandshakeData>().ok()?;
        let server_name = data.server_name.clone();
        Some(Box::new(Handshake { server_name, resumed: self.resumed }))
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.inner.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.inner.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.inner.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        // rustls opens the ticket while it reads the client's first message, on this thread.
        let before = tickets_opened();
        let ready = self.inner.read_handshake(bytes);
        self.resumed |= tickets_opened() != before;
        ready
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.inner.transport_parameters()
    }

    fn write_handshake(&mut self, bytes: &mut Vec<u8>) -> Option<Keys> {
        self.inner.write_handshake(bytes)
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.inner.next_1rtt_keys()
    }

    fn is_valid_retry(&self, id: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.inner.is_valid_retry(id, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.inner.export_keying_material(output, label, context)
    }
}
