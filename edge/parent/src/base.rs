//! The configured address of a parent.

use std::str::FromStr;

use http::{Uri, uri::Scheme};
use weir_edge_transport::connect::Target;

/// Scheme, host, port and a path before every request's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    pub(crate) target: Target,
    /// As `host` and `:authority` write it, the default port left out.
    pub(crate) authority: String,
    /// Empty or starting with `/`, without a slash at its end.
    pub(crate) prefix: String,
}

/// Why a text is no address of a parent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{url:?} is no address of an upstream: {problem}; \
     write it like \"https://origin.example:8443/films\""
)]
pub struct BaseError {
    url: String,
    problem: &'static str,
}

impl FromStr for BaseUrl {
    type Err = BaseError;

    fn from_str(url: &str) -> Result<Self, BaseError> {
        let wrong = |problem| BaseError { url: url.to_owned(), problem };
        let uri: Uri = url.parse().map_err(|_| wrong("it does not parse"))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) => return Err(wrong("the scheme is neither http nor https")),
            None => return Err(wrong("it has no scheme")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("user and password have no place in it"));
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(wrong("query and fragment have no place in it"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let default = if tls { 443 } else { 80 };
        let port = match authority.port_u16() {
            Some(0) => return Err(wrong("port 0 cannot be connected to")),
            Some(port) => port,
            None if authority.as_str() == host => default,
            None => return Err(wrong("the port is no number up to 65535")),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self {
            target: Target { tls, host: bare.to_owned(), port },
            authority: if port == default { host.to_owned() } else { format!("{host}:{port}") },
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |url: &str, expected: Result<(&str, &str, &str), &str>| {
            let parsed = url.parse::<BaseUrl>();
            match (parsed, expected) {
                (Ok(base), Ok((target, authority, prefix))) => {
                    assert_eq!(base.target.to_string(), target, "{url}");
                    assert_eq!(base.authority, authority, "{url}");
                    assert_eq!(base.prefix, prefix, "{url}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (got, expected) => panic!("{url}: {got:?} is not {expected:?}"),
            }
        };
        check("http://a.example", Ok(("http://a.example:80", "a.example", "")));
        check("http://a.example:80/", Ok(("http://a.example:80", "a.example", "")));
        check("https://a.example/x/y/", Ok(("https://a.example:443", "a.example", "/x/y")));
        check("http://[::1]:9001", Ok(("http://[::1]:9001", "[::1]:9001", "")));
        check("ftp://a.example", Err("neither http nor https"));
        check("a.example:80", Err("is no address"));
        check("/path", Err("no scheme"));
        check("http://u:p@a.example", Err("user and password"));
        check("http://a.example/?q", Err("query"));
        check("http://a.example:0", Err("port 0"));
        check("http://a.example:99999", Err("is no address"));
        check("http:// a", Err("does not parse"));
    }
}
