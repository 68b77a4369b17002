//! What certificates look like: the authority's, a node's, a server's.

use std::{net::IpAddr, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

use super::{Issue, SignerError, Subject};
use crate::identity::PREFIX;

/// The longest time that a certificate of somebody else than the authority is good.
pub(super) const LONGEST_S: u64 = 31 * 86_400;
/// The authority's own.
const AUTHORITY_S: u64 = 10 * 365 * 86_400;
/// Servers have few names.
const NAMES: usize = 32;

/// The authority's, from a little before `now_s`.
pub(super) fn authority(name: &str, now_s: u64) -> CertificateParams {
    let mut asked = CertificateParams::default();
    asked.distinguished_name = called(name);
    asked.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    asked.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    times(&mut asked, now_s.saturating_sub(3_600), now_s.saturating_add(AUTHORITY_S));
    asked
}

/// What is signed for a request: its key, and nothing else of what it says.
pub(super) fn of(
    issue: &Issue,
    serial: [u8; 16],
) -> Result<CertificateSigningRequestParams, SignerError> {
    let Issue { csr, subject, from_s, ends_s } = issue;
    if ends_s <= from_s || ends_s - from_s > LONGEST_S {
        let why = format!(
            "{} s of validity, and at most {LONGEST_S} s are",
            ends_s.saturating_sub(*from_s)
        );
        return Err(SignerError::Limit(why));
    }
    let mut asked = CertificateSigningRequestParams::from_pem(csr)
        .map_err(|error| SignerError::Csr(error.to_string()))?;
    let mut params = CertificateParams::default();
    match subject {
        Subject::Node(node) => {
            if !weir_steering_api::decode::is_name(node) {
                return Err(SignerError::Limit(format!("{node:?} is no name of a node")));
            }
            params.distinguished_name = called(node);
            let uri = format!("{PREFIX}{node}").try_into();
            params.subject_alt_names = vec![SanType::URI(uri.map_err(unnamed)?)];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        Subject::Server(names) => {
            if names.is_empty() || names.len() > NAMES {
                let why = format!("{} names of a server: 1 to {NAMES}", names.len());
                return Err(SignerError::Limit(why));
            }
            params.distinguished_name = called("weir-steering");
            let sans = names.iter().map(|name| match name.parse::<IpAddr>() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => Ok(SanType::DnsName(name.as_str().try_into().map_err(unnamed)?)),
            });
            params.subject_alt_names = sans.collect::<Result<_, SignerError>>()?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    times(&mut params, *from_s, *ends_s);
    asked.params = params;
    Ok(asked)
}

fn unnamed(error: impl std::fmt::Display) -> SignerError {
    SignerError::Limit(format!("a name that no certificate can have: {error}"))
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn times(params: &mut CertificateParams, from_s: u64, ends_s: u64) {
    // Past the year 9999 a certificate cannot say when it ends.
    const LAST_S: u64 = 253_402_300_799;
    let at = |s: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(s.min(LAST_S));
    params.not_before = at(from_s);
    params.not_after = at(ends_s);
}
