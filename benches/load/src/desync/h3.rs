//! HTTP/3 requests written by hand (RFC 9114 §7, RFC 9204 §4.5), so that they can be wrong.

use std::{sync::Arc, time::Duration};

use quinn::{Endpoint, crypto::rustls::QuicClientConfig};
use tokio::time::timeout;

use super::fields::Attempt;
use crate::{Server, connection::ConnectionError};

const DATA: u64 = 0;
const HEADERS: u64 = 1;
/// A control stream that says nothing but its settings, of which there are none.
const CONTROL: [u8; 3] = [0, 4, 0];
const PATIENCE: Duration = Duration::from_secs(3);
const MOST: usize = 64 << 10;

/// A variable-length integer (RFC 9000 §16).
fn varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        _ => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
    }
}

fn frame(out: &mut Vec<u8>, kind: u64, payload: &[u8]) {
    varint(out, kind);
    varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

/// Literal fields with literal names, not compressed (RFC 9204 §4.5.6).
fn section(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0, 0];
    for (name, value) in fields {
        integer(&mut out, 0x20, 3, name.len());
        out.extend_from_slice(name);
        integer(&mut out, 0, 7, value.len());
        out.extend_from_slice(value);
    }
    out
}

fn integer(out: &mut Vec<u8>, first: u8, bits: u8, value: usize) {
    let most = (1_usize << bits) - 1;
    if value < most {
        out.push(first | value as u8);
        return;
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 & 127 | 128);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Everything that is sent on the request's stream.
fn request(attempt: &Attempt) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, HEADERS, &section(&attempt.fields));
    if let Some(body) = &attempt.body {
        frame(&mut out, DATA, body);
    }
    if !attempt.trailers.is_empty() {
        frame(&mut out, HEADERS, &section(&attempt.trailers));
    }
    out
}

/// Sends one attempt on a connection of its own; what came of it, in a word or two.
pub async fn send(server: &Arc<Server>, attempt: &Attempt) -> Result<String, ConnectionError> {
    let said = |error: &dyn std::fmt::Display| ConnectionError::Quic(error.to_string());
    let tls = server.tls.as_ref().ok_or(ConnectionError::NeedsTls(crate::Protocol::H3))?;
    let quic = QuicClientConfig::try_from(Arc::clone(tls)).map_err(|error| said(&error))?;
    let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into())?;
    let config = quinn::ClientConfig::new(Arc::new(quic));
    let connecting = endpoint.connect_with(config, server.address, &server.name);
    let connecting = connecting.map_err(|error| said(&error))?;
    let connection =
        timeout(PATIENCE, connecting).await.map_err(|error| said(&error))?.map_err(|e| said(&e))?;
    let mut control = connection.open_uni().await.map_err(|error| said(&error))?;
    control.write_all(&CONTROL).await.map_err(|error| said(&error))?;
    let (mut send, mut receive) = connection.open_bi().await.map_err(|error| said(&error))?;
    // A server may have had enough before all of it is written.
    let written = send.write_all(&request(attempt)).await;
    drop(send.finish());
    let outcome = match timeout(PATIENCE, receive.read_to_end(MOST)).await {
        Ok(Ok(bytes)) => status(&bytes),
        Ok(Err(_)) | Err(_) if connection.close_reason().is_some() => "connection closed".into(),
        Ok(Err(_)) => "stream reset".into(),
        Err(_) => "no answer".to_owned(),
    };
    drop(written);
    connection.close(0_u32.into(), b"");
    Ok(outcome)
}

/// The status of an answer, where it is one of the static table (RFC 9204 appendix A).
fn status(answer: &[u8]) -> String {
    // Type, a length of one or two bytes, and the section's prefix of two.
    let wide = usize::from(answer.get(1).copied().unwrap_or(0) >> 6 == 1);
    let code = match answer.get(4 + wide..) {
        Some([0xd9, ..]) => "200",
        Some([0xda, ..]) => "304",
        Some([0xdb, ..]) => "404",
        Some([0xdc, ..]) => "503",
        Some([0xff, 4, ..]) => "400",
        Some([0xff, 5, ..]) => "403",
        Some([0xff, 6, ..]) => "421",
        Some([0xff, 8, ..]) => "500",
        _ => "otherwise",
    };
    format!("answered {code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_specifications_have_them() {
        let check = |value, expected: &[u8]| {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, expected);
        };
        check(37, &[0x25]);
        check(15_293, &[0x7b, 0xbd]);
        check(494_878_333, &[0x9d, 0x7f, 0x3e, 0x7d]);
        let field = (b":path".to_vec(), b"/".to_vec());
        assert_eq!(section(&[field]), b"\0\0\x25:path\x01/");
        assert_eq!(status(&[1, 9, 0, 0, 0xd9]), "answered 200");
        assert_eq!(status(&[1, 0x40, 0x50, 0, 0, 0xff, 4]), "answered 400");
    }
}
