//! A certificate authority for one machine: makes and keeps a CA and a leaf under it, so that
//! a run has TLS without anybody's help. Nothing here is for production.

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate,
    pem::parse_x509_pem,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest that Apple's clients accept under a private CA.
const CA_DAYS: u32 = 825;
/// Below what public certificates may have, which the strictest clients ask of private ones.
const LEAF_DAYS: u32 = 397;
/// A certificate that ends sooner than this is made anew.
const LEAST_DAYS: u32 = 14;

/// Where everything is, and what Chromium wants to know of the leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The CA's certificate, to be trusted by clients.
    pub ca: PathBuf,
    /// The leaf's certificate.
    pub chain: PathBuf,
    /// The leaf's key, readable by its owner alone.
    pub key: PathBuf,
    /// Base64 of the SHA-256 of the leaf's public key, as
    /// `--ignore-certificate-errors-spki-list` takes it.
    pub spki_sha256: String,
    /// Whether the CA and the leaf were there already.
    pub kept: (bool, bool),
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// No name was given.
    #[error("a certificate needs at least one name or address")]
    NoName,
    /// A name cannot stand in a certificate.
    #[error("`{name}` is neither a host name nor an IP address")]
    Name {
        /// The name as given.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Making a key or a certificate failed.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// Keeps what is valid in `dir` and makes the rest: `ca.pem`, `ca.key`, `<leaf>.pem` and
/// `<leaf>.key`. A leaf is kept while it is signed by the CA, fits its key, carries all
/// `names`, and lasts for two more weeks.
pub fn ensure(dir: &Path, leaf: &str, names: &[String], now: SystemTime) -> Result<Files, CaError> {
    if names.is_empty() {
        return Err(CaError::NoName);
    }
    for name in names {
        let one = CertificateParams::new(vec![name.clone()]);
        one.map_err(|source| CaError::Name { name: name.clone(), source })?;
    }
    fs::create_dir_all(dir).map_err(|source| file("make the directory", dir, source))?;
    let ca_path = dir.join("ca.pem");
    let kept_ca = Pair::read(&ca_path, &dir.join("ca.key"))
        .filter(|ca| ca.with(|cert| cert.is_ca() && lasts(cert, now)).unwrap_or(false));
    let had_ca = kept_ca.is_some();
    let ca = match kept_ca {
        Some(ca) => ca,
        None => make_ca(dir, now)?,
    };
    let (chain, key) = (dir.join(format!("{leaf}.pem")), dir.join(format!("{leaf}.key")));
    let kept = Pair::read(&chain, &key).filter(|leaf| leaf.serves(&ca, names, now));
    let had_leaf = kept.is_some();
    let pair = match kept {
        Some(pair) => pair,
        None => make_leaf(&ca, &chain, &key, names, now)?,
    };
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &pair.key.subject_public_key_info());
    Ok(Files {
        ca: ca_path,
        chain,
        key,
        spki_sha256: STANDARD.encode(digest),
        kept: (had_ca, had_leaf),
    })
}

/// A certificate and the key that belongs to it.
struct Pair {
    pem: String,
    der: Vec<u8>,
    key: KeyPair,
}

impl Pair {
    /// `None` when either is missing, unreadable, or does not fit the other.
    fn read(cert: &Path, key: &Path) -> Option<Self> {
        let pem = fs::read_to_string(cert).ok()?;
        let key = KeyPair::from_pem(&fs::read_to_string(key).ok()?).ok()?;
        let der = parse_x509_pem(pem.as_bytes()).ok()?.1.contents;
        let pair = Self { pem, der, key };
        let fits = pair.with(|cert| *cert.public_key().raw == *pair.key.subject_public_key_info());
        fits?.then_some(pair)
    }

    fn with<T>(&self, ask: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
        parse_x509_certificate(&self.der).ok().map(|(_, cert)| ask(&cert))
    }

    fn serves(&self, ca: &Self, names: &[String], now: SystemTime) -> bool {
        let signed = ca.with(|ca| {
            self.with(|cert| {
                cert.verify_signature(Some(ca.public_key())).is_ok()
                    && lasts(cert, now)
                    && names.iter().all(|name| carries(cert, name))
            })
        });
        signed.flatten().unwrap_or(false)
    }
}

/// Whether the certificate is valid now and for two weeks more.
fn lasts(cert: &X509Certificate<'_>, now: SystemTime) -> bool {
    let seconds = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    };
    let validity = cert.validity();
    validity.not_before.timestamp() <= seconds(now)
        && validity.not_after.timestamp() >= seconds(now + DAY * LEAST_DAYS)
}

fn carries(cert: &X509Certificate<'_>, name: &str) -> bool {
    let Ok(Some(names)) = cert.subject_alternative_name() else { return false };
    let address: Option<IpAddr> = name.parse().ok();
    names.value.general_names.iter().any(|general| match (general, address) {
        (GeneralName::DNSName(dns), None) => dns.eq_ignore_ascii_case(name),
        (GeneralName::IPAddress(octets), Some(IpAddr::V4(v4))) => *octets == v4.octets(),
        (GeneralName::IPAddress(octets), Some(IpAddr::V6(v6))) => *octets == v6.octets(),
        _ => false,
    })
}

fn make_ca(dir: &Path, now: SystemTime) -> Result<Pair, CaError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.not_before = (now - DAY).into();
    params.not_after = (now - DAY + DAY * CA_DAYS).into();
    // The key's beginning keeps two CAs of the same host apart in a trust store.
    let id: String = key.public_key_raw()[1..5].iter().map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("Weir development CA {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let cert = params.self_signed(&key)?;
    write(&dir.join("ca.key"), &key.serialize_pem(), 0o600)?;
    write(&dir.join("ca.pem"), &cert.pem(), 0o644)?;
    Ok(Pair { pem: cert.pem(), der: cert.der().to_vec(), key })
}

fn make_leaf(
    ca: &Pair,
    chain: &Path,
    key_path: &Path,
    names: &[String],
    now: SystemTime,
) -> Result<Pair, CaError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.not_before = (now - DAY).into();
    params.not_after = (now - DAY + DAY * LEAF_DAYS).into();
    params.distinguished_name.push(DnType::CommonName, names[0].as_str());
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = Issuer::from_ca_cert_pem(&ca.pem, &ca.key)?;
    let cert = params.signed_by(&key, &issuer)?;
    write(key_path, &key.serialize_pem(), 0o600)?;
    write(chain, &cert.pem(), 0o644)?;
    Ok(Pair { pem: cert.pem(), der: cert.der().to_vec(), key })
}

/// Writes beside the file and renames, so that no reader sees half of it.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        // A leftover of an interrupted run may have another mode.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out =
            fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| file("write", path, source))
}

fn file(what: &'static str, path: &Path, source: io::Error) -> CaError {
    CaError::File { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn valid_files_are_kept_and_others_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let all = names(&["localhost", "127.0.0.1", "::1"]);
        let first = ensure(dir.path(), "edge", &all, now).unwrap();
        assert_eq!(first.kept, (false, false));
        let again = ensure(dir.path(), "edge", &all[..2], now).unwrap();
        assert_eq!(again, Files { kept: (true, true), ..first.clone() });
        let more = names(&["localhost", "10.0.0.1"]);
        let other = ensure(dir.path(), "edge", &more, now).unwrap();
        assert_eq!(other.kept, (true, false), "another name, same CA");
        assert_ne!(other.spki_sha256, first.spki_sha256);
        let later = ensure(dir.path(), "edge", &more, now + DAY * 390).unwrap();
        assert_eq!(later.kept, (true, false), "the leaf ends soon");
        let much_later = ensure(dir.path(), "edge", &more, now + DAY * 820).unwrap();
        assert_eq!(much_later.kept, (false, false), "the CA ends soon");
        fs::write(dir.path().join("ca.key"), "spoilt").unwrap();
        let spoilt = ensure(dir.path(), "edge", &more, now).unwrap();
        assert_eq!(spoilt.kept, (false, false));
    }

    #[test]
    fn keys_are_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let files = ensure(dir.path(), "edge", &names(&["a.test"]), SystemTime::now()).unwrap();
        for key in [files.key, dir.path().join("ca.key")] {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn bad_names_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("new");
        let no_names = ensure(&at, "edge", &[], SystemTime::now());
        assert!(matches!(no_names, Err(CaError::NoName)));
        let bad = ensure(&at, "edge", &names(&["ok.test", "b\u{e4}d"]), SystemTime::now());
        assert!(matches!(bad, Err(CaError::Name { name, .. }) if name == "b\u{e4}d"));
        assert!(!at.exists());
    }
}
