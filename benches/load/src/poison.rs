//! Requests that shall have an answer kept which nobody else should get, and a gullible origin
//! that believes and repeats whatever it is told.

mod mirror;

pub use mirror::{Mirror, clean};

/// Marks what an attacker has put in.
pub const EVIL: &str = "evil";

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Says what it is; unique.
    pub name: String,
    /// What the attacker sends.
    pub bytes: Vec<u8>,
    /// What a good client asks for afterwards.
    pub clean: String,
}

/// Fields that no key has, and that some origins believe.
const FIELDS: [&str; 39] = [
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Server: evil.test",
    "X-Forwarded-Scheme: evil",
    "X-Forwarded-Proto: evil",
    "X-Forwarded-Port: 666, evil",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Path: /evil",
    "X-Forwarded-For: evil",
    "Forwarded: for=evil;host=evil.test",
    "X-Host: evil.test",
    "X-HTTP-Host-Override: evil.test",
    "X-Backend-Host: evil.test",
    "X-Original-Host: evil.test",
    "X-Original-URL: /evil",
    "X-Rewrite-URL: /evil",
    "X-Original-URI: /evil",
    "X-HTTP-Path-Override: /evil",
    "X-HTTP-Method-Override: EVIL",
    "X-HTTP-Method: EVIL",
    "X-Method-Override: EVIL",
    "X-Url-Scheme: evil",
    "Front-End-Https: evil",
    "True-Client-IP: evil",
    "X-Real-IP: evil",
    "X-Client-IP: evil",
    "CF-Connecting-IP: evil",
    "Fastly-Client-IP: evil",
    "X-Wap-Profile: http://evil.test/",
    "Proxy: http://evil.test",
    "Accept-Language: evil",
    "User-Agent: evil",
    "Origin: http://evil.test",
    "Referer: http://evil.test/",
    "Cookie: session=evil",
    "Authorization: Bearer evil",
    "Accept-Encoding: evil",
    "Accept: evil/evil",
    "X-Oversize: evil",
    "X-Meta: evil\\\\n",
];

/// Fields that ask for less than the whole, or for another treatment.
const ASKING: [&str; 16] = [
    "Range: bytes=0-0",
    "Range: bytes=9999999-",
    "Range: bytes=-1",
    "Range: evil=0-1",
    "If-None-Match: *",
    "If-Match: \"evil\"",
    "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
    "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    "If-Range: \"evil\"\r\nRange: bytes=0-0",
    "Cache-Control: no-cache\r\nX-Forwarded-Host: evil.test",
    "Cache-Control: max-age=0\r\nX-Forwarded-Host: evil.test",
    "Cache-Control: no-store",
    "Cache-Control: only-if-cached",
    "Pragma: no-cache\r\nX-Original-URL: /evil",
    "Connection: host, x-evil\r\nX-Evil: evil",
    "Connection: cache-control, vary, content-length\r\nAccept-Language: evil",
];

/// Other targets for a clean one, which is `@`.
const TARGETS: [&str; 34] = [
    "@%2f..%2fevil",
    "@;evil",
    "@;x=evil",
    "@/.",
    "@/./",
    "@/../@evil",
    "@/evil/..",
    "@/evil/%2e%2e",
    "@/evil/..%2f",
    "@//",
    "/@",
    "/evil/..@",
    "/evil/%2e%2e@",
    "/./evil/..@",
    "@%00evil",
    "@%3fevil",
    "@%23evil",
    "@#evil",
    "@%20",
    "@%0d%0aX-Evil:%20evil",
    "@\\evil",
    "@%5cevil",
    "@%2500evil",
    "@%252fevil",
    "@/",
    "@.evil",
    "@?evil",
    "@??evil",
    "@&evil",
    "@%26evil",
    "@?#evil",
    "http://evil.test@",
    "http://localhost@?evil",
    "@%C0%AEevil",
];

/// Queries beside a clean one, which is `a=1`.
const QUERIES: [&str; 14] = [
    "a=1;b=evil",
    "a=1&b=evil",
    "a=1&a=evil",
    "a=evil&a=1",
    "a=1%26a=evil",
    "A=evil&a=1",
    "a=1&utm_source=evil",
    "a=1&utm_content=x;a=evil",
    "a=1&CMCD=evil",
    "CMCD=x%26a=evil&a=1",
    "a=1&CMCD=x;a=evil",
    "a[]=evil&a=1",
    "a=1#evil",
    "a=1%00evil",
];

/// Requests with bodies, or of other methods; `{}` is a body with its length.
const OTHERS: [&str; 12] = [
    "GET @ HTTP/1.1\r\nHost: localhost\r\n{}",
    "GET @ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n6\r\na=evil\r\n0\r\n\r\n",
    "GET @ HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: POST\r\n{}",
    "HEAD @ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "OPTIONS @ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST @ HTTP/1.1\r\nHost: localhost\r\n{}",
    "PUT @ HTTP/1.1\r\nHost: localhost\r\n{}",
    "EVIL @ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "get @ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET @ HTTP/1.1\r\nHost: localhost:666\r\n\r\n",
    "GET @ HTTP/1.1\r\nHost: localhost@evil.test\r\n\r\n",
    "GET @ HTTP/1.0\r\nHost: evil.test\r\n\r\n",
];

/// Every attempt; `path` makes the path of each by its number.
pub fn corpus(path: impl Fn(usize) -> String) -> Vec<Attempt> {
    let mut all = Vec::new();
    let mut add = |name: String, make: &dyn Fn(&str) -> (String, String)| {
        let path = path(all.len());
        let (bytes, clean) = make(&path);
        all.push(Attempt { name, bytes: bytes.into_bytes(), clean });
    };
    let get = |target: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
    };
    for field in FIELDS {
        add(format!("field {field}"), &|path| {
            // What some origins refuse for its size.
            let more =
                if field.starts_with("X-Oversize") { "o".repeat(20_000) } else { String::new() };
            (get(path, &format!("{field}{more}\r\n")), path.to_owned())
        });
    }
    for field in ASKING {
        add(format!("asking {}", field.escape_debug()), &|path| {
            (get(path, &format!("{field}\r\n")), path.to_owned())
        });
    }
    for target in TARGETS {
        add(format!("target {target}"), &|path| {
            (get(&target.replace('@', path), ""), path.to_owned())
        });
    }
    for query in QUERIES {
        add(format!("query {query}"), &|path| {
            (get(&format!("{path}?{query}"), ""), format!("{path}?a=1"))
        });
    }
    for other in OTHERS {
        add(format!("request {}", other.escape_debug()), &|path| {
            let bytes = other.replace('@', path);
            (bytes.replace("{}", "Content-Length: 6\r\n\r\na=evil"), path.to_owned())
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn attempts_have_names_and_paths_of_their_own() {
        let all = corpus(|number| format!("/p/{number}"));
        let names: HashSet<&str> = all.iter().map(|attempt| attempt.name.as_str()).collect();
        let clean: HashSet<&str> = all.iter().map(|attempt| attempt.clean.as_str()).collect();
        assert_eq!((names.len(), clean.len(), all.len()), (115, 115, 115));
        assert!(all[0].bytes.starts_with(b"GET /p/0 HTTP/1.1\r\nHost: localhost\r\nX-F"));
    }
}
