//! Who a certificate is of. TLS has checked its chain and its times; what is read here is what it
//! says, of nothing else.

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::token::hex;

/// What a node is called in its certificate, as a URI among its names.
pub const PREFIX: &str = "urn:weir:node:";

/// A node as its certificate has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub node: String,
    /// Of the certificate, in hexadecimal.
    pub serial: String,
    /// Unix seconds at which it ends.
    pub ends_s: u64,
}

impl Identity {
    /// Of a certificate, DER; none where it is not one of a node.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let names = certificate.subject_alternative_name().ok()??;
        let mut nodes = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(PREFIX),
            _ => None,
        });
        let node = nodes.next().filter(|node| weir_steering_api::decode::is_name(node))?;
        // Two names would be two nodes.
        if nodes.next().is_some() {
            return None;
        }
        let ends_s = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
        Some(Self { node: node.to_owned(), serial: hex(certificate.raw_serial()), ends_s })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(uris: &[&str]) -> Vec<u8> {
        let mut asked = CertificateParams::new(Vec::new()).unwrap();
        asked.subject_alt_names =
            uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        asked.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn nodes_and_others() {
        let check = |uris: &[&str], expected: Option<&str>| {
            let found = Identity::of(&certificate(uris));
            assert_eq!(found.as_ref().map(|identity| &*identity.node), expected, "{uris:?}");
        };
        check(&["urn:weir:node:edge-1"], Some("edge-1"));
        check(&["urn:other:1", "urn:weir:node:edge-1"], Some("edge-1"));
        check(&["urn:weir:node:edge-1", "urn:weir:node:edge-2"], None);
        check(&["urn:weir:node:"], None);
        check(&["urn:weir:node:a/b"], None);
        check(&["urn:weir:server:x"], None);
        check(&[], None);
    }

    #[test]
    fn no_bytes_panic() {
        let whole = certificate(&["urn:weir:node:edge-1"]);
        for at in 0..whole.len() {
            let _ = Identity::of(&whole[..at]);
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = Identity::of(&bytes);
        }
        assert_eq!(Identity::of(&[whole.clone(), vec![0]].concat()), None);
    }
}
