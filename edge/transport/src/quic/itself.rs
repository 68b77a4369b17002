//! How a server asks itself over QUIC.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use quinn::{ClientConfig, Endpoint, crypto::rustls::QuicClientConfig};

use super::EndpointError;

/// An endpoint that connects from `ip`, with a configuration of
/// [`crate::tls::Tls::towards_itself`]. It takes no connections. Runs on the calling runtime.
///
/// # Errors
/// When there is no socket, or TLS is not fit for QUIC.
pub fn towards_itself(ip: IpAddr, tls: rustls::ClientConfig) -> Result<Endpoint, EndpointError> {
    let crypto = QuicClientConfig::try_from(tls)?;
    let mut endpoint = Endpoint::client(SocketAddr::new(ip, 0))?;
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
    Ok(endpoint)
}
