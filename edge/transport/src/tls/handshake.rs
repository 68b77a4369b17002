//! A client's first bytes, until both sides have keys.

use std::{io, sync::Arc};

use rustls::{
    AlertDescription, Error, HandshakeKind, InvalidMessage, PeerIncompatible, ProtocolVersion,
    ServerConnection, server::Acceptor,
};
use tokio::{io::Interest, net::TcpStream};

use crate::{
    stream::{TlsStream, receive, send},
    tls::{Preference, Tls},
};

/// A handshake that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client went away.
    #[error("the client closed the connection during the handshake")]
    Closed,
    /// The network failed.
    #[error("the connection failed during the handshake")]
    Io(#[from] io::Error),
    /// Not TLS at all.
    #[error("the client does not speak TLS")]
    NotTls,
    /// No version, cipher suite, group or application protocol in common.
    #[error("nothing in common with the client")]
    NothingInCommon(#[source] Error),
    /// The client sent an alert.
    #[error("the client refused: {0:?}")]
    Refused(AlertDescription),
    /// Anything else.
    #[error("the handshake failed")]
    Other(#[source] Error),
}

impl From<Error> for HandshakeError {
    fn from(error: Error) -> Self {
        match error {
            Error::AlertReceived(alert) => Self::Refused(alert),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            Error::NoApplicationProtocol
            | Error::PeerIncompatible(
                PeerIncompatible::NoCipherSuitesInCommon
                | PeerIncompatible::NoKxGroupsInCommon
                | PeerIncompatible::NoSignatureSchemesInCommon
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => Self::NothingInCommon(error),
            other => Self::Other(other),
        }
    }
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The name the client asked for.
    pub server_name: Option<String>,
    /// `h2`, `http/1.1` or `h3`; none when the client named none.
    pub protocol: Option<Vec<u8>>,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// A ticket of ours spared the client the certificate.
    pub resumed: bool,
    /// The client's own, DER, where the server asks for one and the client has shown it, then or
    /// when the resumed session began.
    pub certificate: Option<Arc<[u8]>>,
}

impl Negotiated {
    fn of(tls: &ServerConnection) -> Self {
        Self {
            server_name: tls.server_name().map(str::to_owned),
            protocol: tls.alpn_protocol().map(<[u8]>::to_vec),
            version: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            },
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
            certificate: tls.peer_certificates().and_then(|chain| Some(chain.first()?[..].into())),
        }
    }
}

impl Tls {
    /// Shakes hands over `socket`. Takes as long as the client does: the caller has the clock.
    pub async fn accept(
        &self,
        socket: TcpStream,
    ) -> Result<(TlsStream, Negotiated), HandshakeError> {
        let mut acceptor = Acceptor::default();
        let hello = loop {
            socket.readable().await?;
            match receive(&socket, |source| acceptor.read_tls(source)) {
                Ok(0) => return Err(HandshakeError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            match acceptor.accept() {
                Ok(Some(hello)) => break hello,
                Ok(None) => {}
                Err((error, mut alert)) => {
                    // The alert fits an empty socket buffer, or the client never reads it.
                    let _ = send(&socket, |sink| alert.write(sink));
                    return Err(error.into());
                }
            }
        };
        let preference = Preference::of(hello.client_hello().cipher_suites());
        let mut tls =
            hello.into_connection(self.tcp(preference)).map_err(|(error, mut alert)| {
                let _ = send(&socket, |sink| alert.write(sink));
                error
            })?;
        while tls.is_handshaking() {
            advance(&socket, &mut tls).await?;
        }
        // In TLS 1.2 the last word is ours and the client waits for it. In 1.3 only tickets are
        // left, which may travel with the first response.
        while tls.protocol_version() == Some(ProtocolVersion::TLSv1_2) && tls.wants_write() {
            advance(&socket, &mut tls).await?;
        }
        let negotiated = Negotiated::of(&tls);
        Ok((TlsStream::new(socket, tls), negotiated))
    }
}

/// One step of the handshake: sends what is due, else reads what comes.
async fn advance(socket: &TcpStream, tls: &mut ServerConnection) -> Result<(), HandshakeError> {
    let (interest, result) = if tls.wants_write() {
        let ready = socket.writable().await;
        (Interest::WRITABLE, ready.and_then(|()| send(socket, |sink| tls.write_tls(sink))))
    } else {
        let ready = socket.readable().await;
        (Interest::READABLE, ready.and_then(|()| receive(socket, |source| tls.read_tls(source))))
    };
    match result {
        Ok(0) if interest == Interest::READABLE => return Err(HandshakeError::Closed),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if interest == Interest::READABLE
        && let Err(error) = tls.process_new_packets()
    {
        let _ = send(socket, |sink| tls.write_tls(sink));
        return Err(error.into());
    }
    Ok(())
}
