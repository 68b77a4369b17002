//! From when until when a certificate is good.
//!
//! A server does not need to know: it serves what it has, and clients judge. People want to know
//! before their viewers do. webpki compares these times and does not show them, so they are read
//! here; the walk stops where they stand.

use std::path::Path;

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::CertificateError;

// ITU-T X.690 §8.1.2, X.680 §8.6.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate is good, both ends included, in Unix seconds. What was before 1970 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: u64,
    /// Last second.
    pub not_after: u64,
}

impl Validity {
    /// Those of a PEM file's certificates, in its order; none for a certificate whose times
    /// cannot be read.
    ///
    /// # Errors
    /// When the file cannot be read or is no PEM.
    pub fn of_chain(chain: &Path) -> Result<Vec<Option<Self>>, CertificateError> {
        let unreadable = |source| CertificateError::Chain { path: chain.to_owned(), source };
        CertificateDer::pem_file_iter(chain)
            .map_err(unreadable)?
            .map(|certificate| Ok(Self::of(&certificate.map_err(unreadable)?)))
            .collect()
    }

    /// RFC 5280 §4.1: `Certificate { tbsCertificate { [0] version, serialNumber, signature,
    /// issuer, validity { notBefore, notAfter }, … } … }`.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if let Some((_, behind)) = element(rest, VERSION) {
            rest = behind;
        }
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            (_, rest) = element(rest, tag)?;
        }
        let (validity, _) = element(rest, SEQUENCE)?;
        let (not_before, behind) = time(validity)?;
        let (not_after, _) = time(behind)?;
        Some(Self { not_before, not_after })
    }
}

/// The content of the first element, which must have that tag, and what is behind it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    // X.690 §10.1: the definite form, in as few bytes as it takes; nobody has 4 GiB.
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

/// Unix seconds of the first element, and what is behind it.
fn time(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let two = |text: &[u8]| match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(u64::from((a - b'0') * 10 + (b - b'0'))),
        _ => None,
    };
    // RFC 5280 §4.1.2.5: years from 2050 on are GeneralizedTime; two digits from 50 on are 19xx.
    let (year, text, behind) = if let Some((text, behind)) = element(bytes, UTC_TIME) {
        let (year, text) = text.split_at_checked(2)?;
        let year = two(year)?;
        (if year < 50 { 2000 + year } else { 1900 + year }, text, behind)
    } else {
        let (text, behind) = element(bytes, GENERALIZED_TIME)?;
        let (year, text) = text.split_at_checked(4)?;
        (two(&year[..2])? * 100 + two(&year[2..])?, text, behind)
    };
    let (text, b"Z") = text.split_at_checked(10)? else { return None };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| two(&text[at..at + 2]));
    let (month, day) = (month?, day?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = (hour? * 60 + minute?) * 60 + second?;
    Some((days_before(year, month, day).map_or(0, |days| days * 86_400 + seconds), behind))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; none for earlier ones.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    // The year is taken to begin in March, so that a leap day is its last.
    let year = if month > 2 { year } else { year.checked_sub(1)? };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    (year * 365 + year / 4 - year / 100 + year / 400 + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_both_kinds() {
        fn check(tag: u8, text: &str, expected: Option<u64>) {
            let mut bytes = vec![tag, u8::try_from(text.len()).unwrap()];
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(7);
            let found = time(&bytes);
            assert_eq!(found.map(|(seconds, _)| seconds), expected, "{text}");
            assert!(found.is_none_or(|(_, behind)| behind == [7]), "{text}");
        }
        check(UTC_TIME, "700101000000Z", Some(0));
        check(UTC_TIME, "700101000001Z", Some(1));
        check(UTC_TIME, "691231235959Z", Some(0));
        check(UTC_TIME, "000229120000Z", Some(951_825_600));
        check(UTC_TIME, "261120094501Z", Some(1_795_167_901));
        check(UTC_TIME, "491231235959Z", Some(2_524_607_999));
        check(UTC_TIME, "500101000000Z", Some(0));
        check(GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000));
        check(GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799));
        check(GENERALIZED_TIME, "00000101000000Z", Some(0));
        for bad in ["", "70", "700101000000", "7001010000Z", "700101000000+", "70o101000000Z"] {
            check(UTC_TIME, bad, None);
        }
        check(UTC_TIME, "701301000000Z", None);
        check(UTC_TIME, "700100000000Z", None);
        check(GENERALIZED_TIME, "700101000000Z", None);
    }

    #[test]
    fn no_bytes_panic() {
        let made = rcgen::generate_simple_self_signed(["edge.test".to_owned()]).unwrap();
        let whole = made.cert.der().to_vec();
        assert!(Validity::of(&whole).is_some());
        for length in 0..whole.len().min(400) {
            let _ = Validity::of(&whole[..length]);
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bytes = whole.clone();
                bytes[length] = byte;
                let _ = Validity::of(&bytes);
            }
        }
    }

    #[test]
    fn the_certificates_of_a_chain() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.pem");
        let one = |from, to| {
            let mut asked = rcgen::CertificateParams::new(["edge.test".to_owned()]).unwrap();
            asked.not_before = rcgen::date_time_ymd(from, 1, 2);
            asked.not_after = rcgen::date_time_ymd(to, 1, 2);
            asked.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
        };
        std::fs::write(&file, one(2020, 2021) + &one(2026, 2055)).unwrap();
        let found = Validity::of_chain(&file).unwrap();
        let expected = [(1_577_923_200, 1_609_545_600), (1_767_312_000, 2_682_460_800)];
        let expected =
            expected.map(|(not_before, not_after)| Some(Validity { not_before, not_after }));
        assert_eq!(found, expected);
    }
}
