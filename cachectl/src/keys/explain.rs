//! What a token says, and what an edge would say to it. Neither the token nor its signature is
//! printed.

use serde::Serialize;
use url::Url;
use weir_edge_token::{Reject, Unverified, Verifier, peek, split_path};

use super::read;
use crate::{
    Answer,
    cli::ExplainToken,
    failure::{Code, Failure},
    print::{plain, table},
    time::{span, utc},
};

/// One check of a token.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    /// Nothing when it was not made.
    ok: Option<bool>,
    detail: String,
}

impl Check {
    fn new(check: &'static str, result: Result<(), Reject>, detail: impl Into<String>) -> Self {
        let detail = match result {
            Ok(()) => detail.into(),
            Err(reject) => format!("{reject}; {}", detail.into()),
        };
        Self { check, ok: Some(result.is_ok()), detail }
    }

    fn skipped(check: &'static str, detail: &str) -> Self {
        Self { check, ok: None, detail: detail.to_owned() }
    }
}

#[derive(Debug, Serialize)]
struct Explained {
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<weir_edge_token::Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<weir_edge_token::Claims>,
    checks: Vec<Check>,
    /// `accepted`, `refused`, or `unproven` when a check was left out.
    verdict: &'static str,
}

pub(crate) fn explain_token(explain: &ExplainToken, now: u64) -> Result<Answer, Failure> {
    let (token, url_path) = find(&explain.token)?;
    let path = explain.path.as_deref().or(url_path.as_deref());
    let verifier = match &explain.jwks {
        None => None,
        Some(file) => Some(Verifier::new(&read(file)?).map_err(|error| {
            Failure::new(Code::Failed, format!("cannot use {}", file.display())).why(error)
        })?),
    };
    let peeked = peek(&token);
    let form = Check::new("form", peeked.as_ref().map(drop).map_err(|r| *r), "a compact JWT");
    let mut checks = vec![form];
    if let Ok(unverified) = &peeked {
        checks.extend(further(unverified, &token, verifier.as_ref(), explain, path, now));
    }
    let verdict = if checks.iter().any(|check| check.ok == Some(false)) {
        "refused"
    } else if checks.iter().any(|check| check.ok.is_none()) {
        "unproven"
    } else {
        "accepted"
    };
    let (header, claims) = match peeked {
        Ok(found) => (Some(found.header), Some(found.claims)),
        Err(_) => (None, None),
    };
    let explained = Explained { bytes: token.len(), header, claims, checks, verdict };
    let code = if verdict == "refused" { Code::Refused } else { Code::Ok };
    Ok(Answer::new(render(&explained, now), &explained).code(code))
}

/// The token itself, and the path of the URL it stands in.
fn find(given: &str) -> Result<(String, Option<String>), Failure> {
    let path = match Url::parse(given) {
        Ok(url) if url.has_host() => url.path().to_owned(),
        _ if given.starts_with('/') => given.to_owned(),
        _ => return Ok((given.trim().to_owned(), None)),
    };
    match split_path(&path) {
        Some((token, rest)) => Ok((token.to_owned(), Some(rest.to_owned()))),
        None => Err(Failure::new(Code::NotFound, "there is no token in this URL")
            .why("it stands right after the host: https://host/t/<token>/…")),
    }
}

fn further(
    unverified: &Unverified,
    token: &str,
    verifier: Option<&Verifier>,
    explain: &ExplainToken,
    path: Option<&str>,
    now: u64,
) -> Vec<Check> {
    let claims = &unverified.claims;
    let kid = unverified.header.kid.as_deref().unwrap_or("none");
    let signature = match verifier {
        None => Check::skipped("signature", "give the public keys with --jwks"),
        Some(verifier) => {
            let known: Vec<_> = verifier.kids().map(plain).collect();
            let detail = format!("kid {}, known: {}", plain(kid), known.join(", "));
            Check::new("signature", verifier.authenticate(token).map(drop), detail)
        }
    };
    let audience = match &explain.audience {
        None => Check::skipped("audience", "give the service's with --audience"),
        Some(wanted) => {
            let same = if *wanted == claims.aud { Ok(()) } else { Err(Reject::WrongAudience) };
            Check::new("audience", same, format!("for \"{}\"", plain(&claims.aud)))
        }
    };
    let time = Check::new("time", claims.timely(now), format!("it is {}", utc(now)));
    let opens = match path {
        None => Check::skipped("path", "give it with --path, or a whole URL"),
        Some(path) => {
            let detail = format!("{} by the prefix {}", plain(path), plain(&claims.pfx));
            Check::new("path", claims.opens(path), detail)
        }
    };
    vec![signature, audience, time, opens]
}

fn render(explained: &Explained, now: u64) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = Vec::new();
    if let Some(header) = &explained.header {
        let kid = header.kid.as_deref().map_or_else(|| "no kid".to_owned(), plain);
        rows.push(row(
            "token",
            format!("{}, {kid}, {} bytes", plain(&header.alg), explained.bytes),
        ));
    }
    if let Some(claims) = &explained.claims {
        rows.push(row("audience", plain(&claims.aud)));
        rows.push(row("prefix", plain(&claims.pfx)));
        let left = match claims.exp.checked_sub(now) {
            Some(0) | None => format!("{} ago", span(now - claims.exp)),
            Some(left) => format!("in {}", span(left)),
        };
        rows.push(row("expires", format!("{} ({left})", utc(claims.exp))));
        if let Some(from) = claims.nbf {
            rows.push(row("not before", utc(from)));
        }
        let more = [
            ("session", claims.sid.clone()),
            ("highest rung", claims.rung.map(|rung| rung.to_string())),
            ("network", claims.net.clone()),
            ("country", claims.ctry.clone()),
        ];
        rows.extend(more.into_iter().filter_map(|(name, value)| Some(row(name, plain(&value?)))));
    }
    let mut out = table("", &rows);
    out.push_str("checks\n");
    let line = |check: &Check| {
        let mark = match check.ok {
            Some(true) => "ok",
            Some(false) => "FAILS",
            None => "not made",
        };
        vec![check.check.to_owned(), mark.to_owned(), check.detail.clone()]
    };
    let lines: Vec<_> = explained.checks.iter().map(line).collect();
    out.push_str(&table("  ", &lines));
    out.push_str(&format!("verdict   {}\n", explained.verdict));
    out
}
