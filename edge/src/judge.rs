//! What an edge makes of the files that its configuration names, asked while that is read: so
//! `--check` and the start tell the same mistakes, all at once.

use std::{error::Error, fs, path::Path};

use weir_config::{Flaw, Judge, edge::EdgeConfig};
use weir_edge_token::Verifier;
use weir_edge_transport::tls::{Certificates, Keys, Validity};

/// The judge of an edge.
#[derive(Debug, Clone, Copy)]
pub struct Contents {
    /// Unix seconds, to refuse certificates that are not good now. A start does without: what
    /// clients refuse already is no reason to take everything else from them as well, and a
    /// host's clock may be wrong while it boots.
    pub now: Option<u64>,
}

impl Judge for Contents {
    fn chain(&self, file: &Path) -> Vec<Flaw> {
        if let Err(error) = Certificates::check_chain(file) {
            return vec![flaw(&error, "PEM, the server's own certificate first")];
        }
        let Some(now) = self.now else { return Vec::new() };
        let renew = "renew it, or look at the clock of this host";
        out_of_date(file, now)
            .into_iter()
            .map(|what| Flaw { what, help: Some(renew.to_owned()) })
            .collect()
    }

    fn private_key(&self, file: &Path) -> Option<Flaw> {
        let error = Certificates::check_key(file).err()?;
        Some(flaw(&error, "PEM, one key: ECDSA (P-256 or P-384), Ed25519 or RSA"))
    }

    fn pair(&self, chain: &Path, key: &Path) -> Option<Flaw> {
        let error = Certificates::load([(chain, key)]).err()?;
        Some(flaw(&error, "the key with which this certificate was requested"))
    }

    fn transport_keys(&self, file: &Path) -> Option<Flaw> {
        Some(flaw(&Keys::check(file).err()?, ""))
    }

    fn key_set(&self, file: &Path) -> Option<Flaw> {
        let said = match fs::read_to_string(file) {
            Ok(text) => chain(&Verifier::new(&text).err()?),
            Err(error) => error.to_string(),
        };
        let help = "`cachectl keys new` makes one".to_owned();
        Some(Flaw { what: format!("{}: {said}", file.display()), help: Some(help) })
    }
}

/// Names that services answer to and no certificate is for: clients would refuse those.
pub fn uncovered(config: &EdgeConfig) -> Vec<String> {
    if config.listen.https.is_empty() {
        return Vec::new();
    }
    let pairs = config.tls.certificates.iter().map(|pair| (&pair.chain, &pair.key));
    // What cannot be loaded was refused.
    let Ok(certificates) = Certificates::load(pairs) else { return Vec::new() };
    let known = certificates.names();
    let covers = |host: &str| {
        let under = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        known.iter().any(|name| *name == host || under.as_deref() == Some(name))
    };
    let mut hosts: Vec<&String> = config.services.iter().flat_map(|one| &one.hosts).collect();
    hosts.sort_unstable();
    hosts.dedup();
    // Addresses are not among the names that are read.
    let named = hosts.into_iter().filter(|host| host.parse::<std::net::IpAddr>().is_err());
    let odd = named.filter(|host| !covers(host)).map(|host| {
        let has = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!(
            "no certificate is for {host}, which a service answers to over https; there are {has}"
        )
    });
    odd.collect()
}

/// What is to be said of the certificates of a chain that are not good at `now` (Unix seconds).
/// Nothing of one whose times cannot be read: it says enough to be served.
pub fn out_of_date(file: &Path, now: u64) -> Vec<String> {
    let certificates = Validity::of_chain(file).unwrap_or_default();
    let known = certificates.into_iter().enumerate().filter_map(|(at, times)| Some((at, times?)));
    let said = known.filter_map(|(at, Validity { not_before, not_after })| {
        let when = if now > not_after {
            format!("expired {} ago", span(now - not_after))
        } else if now < not_before {
            format!("is not good before {} from now", span(not_before - now))
        } else {
            return None;
        };
        let which = match at {
            0 => "the certificate".to_owned(),
            at => format!("certificate {} of the chain", at + 1),
        };
        Some(format!("{which} in {} {when}", file.display()))
    });
    said.collect()
}

/// Seconds as a person says them.
pub(crate) fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn flaw(error: &dyn Error, help: &str) -> Flaw {
    Flaw { what: chain(error), help: (!help.is_empty()).then(|| help.to_owned()) }
}

/// An error and everything behind it, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}
