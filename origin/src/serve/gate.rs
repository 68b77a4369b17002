//! What is looked at before s3s checks a signature, because s3s 0.14 leaves it open:
//!
//! - it reads the host's clock; here time comes from outside;
//! - it takes signatures of version 2, which never expire in a header, and forms, which it
//!   gathers in memory: both are refused;
//! - it takes any region, any life of a presigned URL, and fields `x-amz-*` and `host` that
//!   the signature does not cover: whoever holds a URL could add a meaning to it.
//!
//! Fields that ask for what this store does not keep are refused too, rather than ignored.

use std::sync::Arc;

use http::{Method, header, request::Parts};
use s3s::{S3Error, S3ErrorCode};
use url::form_urlencoded;
use weir_config_lifecycle::Clock;

/// How far the clocks of a client and ours may differ, in seconds, as S3 has it.
const SKEW: u64 = 15 * 60;
/// Longest life of a presigned URL in seconds, as S3 has it.
const LONGEST: u64 = 7 * 24 * 3600;

/// Why a request does not get further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("only signatures of version 4 (AWS4-HMAC-SHA256) are accepted")]
    Mechanism,
    #[error("a request carries its signature in the query or in a header, not in both")]
    TwoSignatures,
    #[error("the signature's fields cannot be read: {0}")]
    Malformed(&'static str),
    #[error("the credential is for region {found:?}; this server is in {expected:?}")]
    Region { found: String, expected: String },
    #[error("the signature does not cover the field {0}")]
    NotCovered(String),
    #[error("Request has expired")]
    Expired,
    #[error("Request is not valid yet")]
    NotYet,
    #[error("X-Amz-Expires lies between 1 and 604800 seconds")]
    Life,
    #[error("the request's time and the server's differ by more than 15 minutes")]
    Skewed,
    #[error("forms are not taken; use PUT")]
    Form,
    #[error("{0} is not supported here")]
    Unsupported(String),
    #[error("a request without signature cannot choose the fields of the answer")]
    AnonymousOverride,
}

impl Refusal {
    /// As metrics tell it; none where it is no matter of rights.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Mechanism | Self::TwoSignatures => Some("mechanism"),
            Self::Malformed(_) | Self::Region { .. } | Self::Life => Some("malformed"),
            Self::NotCovered(_) => Some("not_covered"),
            Self::Expired => Some("expired"),
            Self::NotYet | Self::Skewed => Some("skewed"),
            Self::Form | Self::Unsupported(_) | Self::AnonymousOverride => None,
        }
    }
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Mechanism | Refusal::AnonymousOverride => S3ErrorCode::InvalidRequest,
            Refusal::TwoSignatures => S3ErrorCode::InvalidArgument,
            Refusal::Malformed(_) | Refusal::Region { .. } => {
                S3ErrorCode::AuthorizationHeaderMalformed
            }
            Refusal::Life => S3ErrorCode::AuthorizationQueryParametersError,
            Refusal::NotCovered(_) | Refusal::Expired | Refusal::NotYet => {
                S3ErrorCode::AccessDenied
            }
            Refusal::Skewed => S3ErrorCode::RequestTimeTooSkewed,
            Refusal::Form | Refusal::Unsupported(_) => S3ErrorCode::NotImplemented,
        };
        S3Error::with_message(code, refusal.to_string())
    }
}

/// The door before the door.
pub(super) struct Gate {
    pub(super) region: String,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a signature says about itself.
struct Claim {
    credential: String,
    covered: String,
    /// Seconds since the Unix epoch.
    signed_at: u64,
}

impl Gate {
    /// Whether s3s may look at the request.
    pub(super) fn admit(&self, parts: &Parts) -> Result<(), Refusal> {
        supported(parts)?;
        let query: Vec<(String, String)> =
            form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        // RFC 9110 §5.3: a field that is no list occurs once.
        let mut authorizations = parts.headers.get_all(header::AUTHORIZATION).iter();
        let authorization = authorizations.next();
        if authorizations.next().is_some() {
            return Err(Refusal::TwoSignatures);
        }
        let has = |name: &str| query.iter().any(|(found, _)| found == name);
        if has("Signature") || has("AWSAccessKeyId") {
            return Err(Refusal::Mechanism);
        }
        match (has("X-Amz-Signature"), authorization) {
            (true, Some(_)) => Err(Refusal::TwoSignatures),
            (true, None) => self.presigned(parts, &query),
            (false, Some(value)) => {
                let value = value.to_str().map_err(|_| Refusal::Malformed("Authorization"))?;
                self.signed(parts, value)
            }
            (false, None) if query.iter().any(|(name, _)| name.starts_with("response-")) => {
                Err(Refusal::AnonymousOverride)
            }
            (false, None) => Ok(()),
        }
    }

    fn presigned(&self, parts: &Parts, query: &[(String, String)]) -> Result<(), Refusal> {
        let one = |name: &'static str| {
            let mut found = query.iter().filter(|(found, _)| found == name);
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Ok(value.clone()),
                _ => Err(Refusal::Malformed(name)),
            }
        };
        if one("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
            return Err(Refusal::Mechanism);
        }
        let claim = Claim {
            credential: one("X-Amz-Credential")?,
            covered: one("X-Amz-SignedHeaders")?,
            signed_at: time(&one("X-Amz-Date")?).ok_or(Refusal::Malformed("X-Amz-Date"))?,
        };
        let life: u64 = one("X-Amz-Expires")?.parse().map_err(|_| Refusal::Life)?;
        if !(1..=LONGEST).contains(&life) {
            return Err(Refusal::Life);
        }
        let now = self.clock.unix_seconds();
        if claim.signed_at > now.saturating_add(SKEW) {
            return Err(Refusal::NotYet);
        }
        if now > claim.signed_at + life {
            return Err(Refusal::Expired);
        }
        self.check(&claim, parts)
    }

    fn signed(&self, parts: &Parts, authorization: &str) -> Result<(), Refusal> {
        let fields =
            authorization.strip_prefix("AWS4-HMAC-SHA256").ok_or(Refusal::Mechanism)?.trim_start();
        let field = |name: &'static str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .map(str::to_owned)
                .ok_or(Refusal::Malformed(name))
        };
        let date = parts.headers.get("x-amz-date").and_then(|value| value.to_str().ok());
        let claim = Claim {
            credential: field("Credential")?,
            covered: field("SignedHeaders")?,
            signed_at: date.and_then(time).ok_or(Refusal::Malformed("x-amz-date"))?,
        };
        if claim.signed_at.abs_diff(self.clock.unix_seconds()) > SKEW {
            return Err(Refusal::Skewed);
        }
        self.check(&claim, parts)
    }

    fn check(&self, claim: &Claim, parts: &Parts) -> Result<(), Refusal> {
        // KEY/20261120/REGION/s3/aws4_request, and a key's id may hold slashes.
        let mut scope = claim.credential.rsplitn(5, '/');
        let (end, service, region) = (scope.next(), scope.next(), scope.next());
        if end != Some("aws4_request") || service != Some("s3") {
            return Err(Refusal::Malformed("Credential"));
        }
        match region {
            Some(region) if region == self.region => {}
            found => {
                let found = found.unwrap_or_default().chars().take(64).collect();
                return Err(Refusal::Region { found, expected: self.region.clone() });
            }
        }
        let covers = |name: &str| claim.covered.split(';').any(|covered| covered == name);
        if !covers("host") {
            return Err(Refusal::NotCovered("host".to_owned()));
        }
        for name in parts.headers.keys() {
            // The hash of the body can only narrow what a URL allows.
            let matters = name.as_str().starts_with("x-amz-") && name != "x-amz-content-sha256";
            if matters && !covers(name.as_str()) {
                return Err(Refusal::NotCovered(name.to_string()));
            }
        }
        Ok(())
    }
}

/// Refuses what would have to be ignored.
fn supported(parts: &Parts) -> Result<(), Refusal> {
    const ASKING: [&str; 7] = [
        "x-amz-server-side-encryption",
        "x-amz-copy-source-server-side-encryption",
        "x-amz-tagging",
        "x-amz-object-lock",
        "x-amz-grant",
        "x-amz-website-redirect-location",
        "x-amz-write-offset-bytes",
    ];
    for (name, value) in &parts.headers {
        let asks = ASKING.iter().any(|asking| name.as_str().starts_with(asking));
        let opens =
            name == "x-amz-acl" && value != "private" && value != "bucket-owner-full-control";
        if asks || opens {
            return Err(Refusal::Unsupported(name.to_string()));
        }
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    let form = kind.is_some_and(|kind| {
        kind.trim_ascii_start().to_ascii_lowercase().starts_with(b"multipart/form-data")
    });
    if parts.method == Method::POST && form {
        return Err(Refusal::Form);
    }
    Ok(())
}

/// `20261120T094501Z` in seconds since the Unix epoch.
fn time(text: &str) -> Option<u64> {
    let digits = |range: std::ops::Range<usize>| {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u64>().ok())?
    };
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    let sound = year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    // Days since the epoch, with years that begin in March so that leap days come last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    let since = days.checked_sub(719_468)?;
    sound.then_some(since * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use weir_config_lifecycle::ManualClock;

    use super::*;

    /// 2026-11-20T09:45:01Z.
    const NOW: u64 = 1_795_167_901;

    #[test]
    fn times() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(time(text), expected, "{text}");
        }
        check("19700101T000000Z", Some(0));
        check("20000229T235959Z", Some(951_868_799));
        check("20261120T094501Z", Some(NOW));
        check("20261320T094501Z", None);
        check("20261120T244501Z", None);
        check("20261120 094501Z", None);
        check("2026-11-20T09:45", None);
        check("+0261120T094501Z", None);
        check("é0261120T09450Z", None);
        check("", None);
    }

    const SCOPE: &str = "edge%2F20261120%2Flocal%2Fs3%2Faws4_request";

    fn url(date: &str, life: &str, scope: &str, covered: &str) -> String {
        format!(
            "/films/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={scope}&X-Amz-Date={date}\
             &X-Amz-Expires={life}&X-Amz-SignedHeaders={covered}&X-Amz-Signature=00"
        )
    }

    type Verdict = Result<(), Refusal>;

    #[expect(clippy::needless_pass_by_value, reason = "tables read better without borrows")]
    fn check(method: &str, url: &str, headers: &[(&str, &str)], expected: Verdict) {
        let gate =
            Gate { region: "local".to_owned(), clock: Arc::new(ManualClock::at(NOW * 1000)) };
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(gate.admit(&parts), expected, "{method} {url} {headers:?}");
    }

    #[test]
    fn presigned_urls() {
        let get = |url: &str, expected| check("GET", url, &[], expected);
        let malformed = |what| Err(Refusal::Malformed(what));
        get(&url("20261120T094501Z", "60", SCOPE, "host"), Ok(()));
        get(&url("20261120T094401Z", "60", SCOPE, "host"), Ok(()));
        get(&url("20261120T094400Z", "60", SCOPE, "host"), Err(Refusal::Expired));
        get(&url("20261120T100001Z", "60", SCOPE, "host"), Ok(()));
        get(&url("20261120T100002Z", "60", SCOPE, "host"), Err(Refusal::NotYet));
        get(&url("20261120T094501Z", "604800", SCOPE, "host"), Ok(()));
        for life in ["604801", "0", "-1", "x", ""] {
            get(&url("20261120T094501Z", life, SCOPE, "host"), Err(Refusal::Life));
        }
        get(&url("yesterday", "60", SCOPE, "host"), malformed("X-Amz-Date"));
        get(&url("20261120T094501Z", "60", "edge", "host"), malformed("Credential"));
        let elsewhere = SCOPE.replace("local", "mars");
        let region = Refusal::Region { found: "mars".to_owned(), expected: "local".to_owned() };
        get(&url("20261120T094501Z", "60", &elsewhere, "host"), Err(region));
        let sts = SCOPE.replace("s3", "sts");
        get(&url("20261120T094501Z", "60", &sts, "host"), malformed("Credential"));
        let bare = Err(Refusal::NotCovered("host".to_owned()));
        get(&url("20261120T094501Z", "60", SCOPE, "range"), bare);
        let twice = url("20261120T094501Z", "60", SCOPE, "host") + "&X-Amz-Expires=604800";
        get(&twice, malformed("X-Amz-Expires"));

        let good = url("20261120T094501Z", "60", SCOPE, "host");
        let added = [("x-amz-acl", "private")];
        let uncovered = Err(Refusal::NotCovered("x-amz-acl".to_owned()));
        check("PUT", &good, &added, uncovered);
        check("PUT", &url("20261120T094501Z", "60", SCOPE, "host%3Bx-amz-acl"), &added, Ok(()));
        check("PUT", &good, &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], Ok(()));
        check("GET", &good, &[("authorization", "x")], Err(Refusal::TwoSignatures));
    }

    #[test]
    fn signed_headers() {
        let header = |scope: &str, covered: &str| {
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={covered}, Signature=00")
        };
        let good = "edge/20261120/local/s3/aws4_request";
        let all = "host;x-amz-content-sha256;x-amz-date";
        let request = |authorization: &str, date: &str, expected| {
            let headers = [("authorization", authorization), ("x-amz-date", date)];
            check("GET", "/films/k", &headers, expected);
        };
        request(&header(good, all), "20261120T094501Z", Ok(()));
        request(&header(good, all), "20261120T100001Z", Ok(()));
        request(&header(good, all), "20261120T100002Z", Err(Refusal::Skewed));
        request(&header(good, all), "20261120T093000Z", Err(Refusal::Skewed));
        let uncovered = Err(Refusal::NotCovered("x-amz-date".to_owned()));
        request(&header(good, "host"), "20261120T094501Z", uncovered);
        request(&header(good, all), "today", Err(Refusal::Malformed("x-amz-date")));
        let region = Refusal::Region { found: "mars".to_owned(), expected: "local".to_owned() };
        request(
            &header("edge/20261120/mars/s3/aws4_request", all),
            "20261120T094501Z",
            Err(region),
        );
        request("AWS edge:c2ln", "20261120T094501Z", Err(Refusal::Mechanism));
        request("Bearer x", "20261120T094501Z", Err(Refusal::Mechanism));
        request("AWS4-HMAC-SHA256 x", "20261120T094501Z", Err(Refusal::Malformed("Credential")));
        let two = [("authorization", "x"), ("authorization", "y")];
        check("GET", "/films/k", &two, Err(Refusal::TwoSignatures));
    }

    #[test]
    fn what_is_not_served_is_said() {
        let unsupported = |name: &str| Err(Refusal::Unsupported(name.to_owned()));
        check("GET", "/films/k", &[], Ok(()));
        check("GET", "/films/k?AWSAccessKeyId=x&Signature=y", &[], Err(Refusal::Mechanism));
        let chosen = "/films/k?response-content-type=text/html";
        check("GET", chosen, &[], Err(Refusal::AnonymousOverride));
        check("PUT", "/films/k", &[("x-amz-acl", "public-read")], unsupported("x-amz-acl"));
        check("PUT", "/films/k", &[("x-amz-acl", "private")], Ok(()));
        check("PUT", "/films/k", &[("x-amz-tagging", "a=b")], unsupported("x-amz-tagging"));
        let form = [("content-type", " Multipart/Form-Data; boundary=x")];
        check("POST", "/films", &form, Err(Refusal::Form));
        check("PUT", "/films/k", &form, Ok(()));
    }
}
