//! Puts the page into an S3 bucket: requests signed with AWS Signature Version 4.

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};

use crate::{Failure, http};

/// A bucket's owner at an S3 server, addressed by path.
#[derive(Debug, Clone)]
pub struct S3 {
    /// Where the server listens, without TLS.
    pub endpoint: SocketAddr,
    /// Region that signatures name.
    pub region: String,
    /// Access key id.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
}

impl S3 {
    /// Writes one object.
    pub fn put(
        &self,
        bucket: &str,
        key: &str,
        body: &[u8],
        content_type: &str,
        cache_control: &str,
    ) -> Result<(), Failure> {
        let fields = [("cache-control", cache_control), ("content-type", content_type)];
        let status = self.ask("PUT", bucket, key, &fields, body)?;
        if (200..300).contains(&status) {
            Ok(())
        } else {
            Err(self.refused("PUT", bucket, key, status))
        }
    }

    /// Whether an object is there.
    pub fn has(&self, bucket: &str, key: &str) -> Result<bool, Failure> {
        match self.ask("HEAD", bucket, key, &[], b"")? {
            200 => Ok(true),
            404 => Ok(false),
            status => Err(self.refused("HEAD", bucket, key, status)),
        }
    }

    fn ask(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<u16, Failure> {
        let target = format!("/{bucket}/{}", escape(key));
        let time = Stamp::of(SystemTime::now());
        let mut headers: Vec<(String, String)> =
            fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        headers.push(("host".into(), self.endpoint.to_string()));
        headers.push(("x-amz-content-sha256".into(), hex(&Sha256::digest(body))));
        headers.push(("x-amz-date".into(), time.full()));
        headers.sort();
        let authorization = self.authorization(method, &target, &headers, &time);
        headers.push(("authorization".into(), authorization));
        let answer = http::ask(self.endpoint, method, &target, &headers, body);
        let answer = answer.map_err(|why| {
            Failure::new(format!("the S3 server at {} does not answer: {why}", self.endpoint))
        })?;
        Ok(answer.status)
    }

    /// The `Authorization` header of a request whose sorted `headers` are all signed.
    fn authorization(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        time: &Stamp,
    ) -> String {
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
        let hash = headers.iter().find(|(n, _)| n == "x-amz-content-sha256");
        let hash = hash.map_or("", |(_, value)| value);
        let request = format!("{method}\n{target}\n\n{lines}\n{names}\n{hash}");
        let scope = format!("{}/{}/s3/aws4_request", time.day(), self.region);
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            time.full(),
            hex(&Sha256::digest(request.as_bytes()))
        );
        let key = hmac(format!("AWS4{}", self.secret_key).as_bytes(), time.day().as_bytes());
        let key = hmac(&key, self.region.as_bytes());
        let key = hmac(&hmac(&key, b"s3"), b"aws4_request");
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.access_key,
            hex(&hmac(&key, text.as_bytes()))
        )
    }

    fn refused(&self, method: &str, bucket: &str, key: &str, status: u16) -> Failure {
        Failure::new(format!(
            "the S3 server at {} answered {status} to {method} {bucket}/{key}",
            self.endpoint
        ))
    }
}

/// HMAC with SHA-256, RFC 2104.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// As signatures want a path: unreserved characters and slashes stay.
fn escape(key: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    key.bytes().map(one).collect()
}

/// A moment in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    date: (i64, u32, u32),
    second: u64,
}

impl Stamp {
    /// The UTC date and time of `at`.
    pub fn of(at: SystemTime) -> Self {
        // A clock before 1970 is wrong in any case; the epoch stands in for it.
        let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { date: civil((seconds / 86_400) as i64), second: seconds % 86_400 }
    }

    /// `20261120`
    fn day(&self) -> String {
        let (year, month, day) = self.date;
        format!("{year:04}{month:02}{day:02}")
    }

    /// `2026-11-20`
    pub fn date(&self) -> String {
        let (year, month, day) = self.date;
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `20261120T063900Z`
    fn full(&self) -> String {
        let (h, m, s) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        format!("{}T{h:02}{m:02}{s:02}Z", self.day())
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian
/// calendar, counted in years that begin in March so that the leap day comes last.
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn days() {
        let check = |seconds: u64, expected: &str| {
            assert_eq!(Stamp::of(UNIX_EPOCH + Duration::from_secs(seconds)).full(), expected);
        };
        check(0, "19700101T000000Z");
        check(951_782_399, "20000228T235959Z");
        check(951_782_400, "20000229T000000Z");
        check(1_369_353_600, "20130524T000000Z");
        check(4_107_542_399, "21000228T235959Z");
        check(4_107_542_400, "21000301T000000Z");
    }

    /// RFC 4231 §4.2, §4.3 and §4.7.
    #[test]
    fn hmac_vectors() {
        let check = |key: &[u8], text: &[u8], expected: &str| {
            assert_eq!(hex(&hmac(key, text)), expected);
        };
        check(
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        );
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
    }

    #[test]
    fn keys_are_escaped() {
        assert_eq!(escape("a/b c+é.m4s"), "a/b%20c%2B%C3%A9.m4s");
    }
}
