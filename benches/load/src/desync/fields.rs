//! The corpus over HTTP/2 and HTTP/3: fields that would become other requests where they are
//! written down for HTTP/1.1 (RFC 9113 §8.2, RFC 9114 §4.2).

use super::hidden;

/// One attempt: its fields in order, its body, and fields behind the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Says what it is; unique.
    pub name: String,
    /// Pseudo-fields first, unless that is the point.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// None ends the stream with the fields.
    pub body: Option<Vec<u8>>,
    /// A trailer section; empty sends none.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A field that is added; `{}` is the hidden request, `#` its length, in name or value.
const ADDED: [(&str, &str); 22] = [
    ("transfer-encoding", "chunked"),
    ("Transfer-Encoding", "chunked"),
    ("te", "chunked"),
    ("connection", "transfer-encoding"),
    ("connection", "keep-alive, content-length"),
    ("keep-alive", "timeout=9"),
    ("proxy-connection", "keep-alive"),
    ("upgrade", "h2c"),
    ("content-length", "0"),
    ("content-length", "+#"),
    ("content-length", "#, 0"),
    ("content-length", ""),
    ("content-length", "1"),
    ("content-length", "99999"),
    ("x", "y\r\ntransfer-encoding: chunked"),
    ("x", "y\r\n\r\n{}"),
    ("x", "y\n\n{}"),
    ("x", "y\r{}"),
    ("x", "y\0z"),
    ("x: y\r\ntransfer-encoding", "chunked"),
    ("x y", "z"),
    ("host", "elsewhere.test"),
];

/// A pseudo-field instead of the right one.
const PSEUDO: [(&str, &str); 17] = [
    (":method", "GET @ HTTP/1.1\r\nhost: localhost\r\n\r\nGET"),
    (":method", "GET {}"),
    (":method", "POST\n"),
    (":method", "CONNECT"),
    (":path", "@ HTTP/1.1\r\nhost: localhost\r\n\r\n{}"),
    (":path", "@ HTTP/1.1\nx: y"),
    (":path", "@ x"),
    (":path", "@\t"),
    (":path", "elsewhere.test@"),
    (":path", "http://elsewhere.test@"),
    (":path", ""),
    (":path", "*"),
    (":authority", "localhost\r\ntransfer-encoding: chunked"),
    (":authority", "localhost@elsewhere.test"),
    (":authority", "local host"),
    (":scheme", "http://elsewhere.test/?"),
    (":scheme", "https\r\nx: y"),
];

/// Every attempt; `path` makes the path of each by its number.
pub fn corpus(authority: &str, path: impl Fn(usize) -> String) -> Vec<Attempt> {
    let mut all: Vec<Attempt> = Vec::new();
    let of = |method: &str, path: &str| -> Vec<(Vec<u8>, Vec<u8>)> {
        [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .into()
    };
    for (name, value) in ADDED {
        let path = path(all.len());
        let hidden = hidden(path.rsplit('/').next().unwrap_or_default());
        let text = |text: &str| {
            text.replace('#', &hidden.len().to_string()).replace("{}", &hidden).into_bytes()
        };
        let mut fields = of("POST", &path);
        fields.push((text(name), text(value)));
        all.push(Attempt {
            name: format!("field {name:?}: {value:?}"),
            fields,
            body: Some(format!("0\r\n\r\n{hidden}").into_bytes()),
            trailers: Vec::new(),
        });
    }
    for (name, value) in PSEUDO {
        let path = path(all.len());
        let hidden = hidden(path.rsplit('/').next().unwrap_or_default());
        let value_of = value.replace('@', &path).replace("{}", &hidden).into_bytes();
        let mut fields = of("GET", &path);
        for (known, value) in &mut fields {
            if known == name.as_bytes() {
                value.clone_from(&value_of);
            }
        }
        let name = format!("{name} {value:?}");
        all.push(Attempt { name, fields, body: None, trailers: Vec::new() });
    }
    let mut more = |name: &str, make: &dyn Fn(&str, String) -> Attempt| {
        let path = path(all.len());
        let hidden = hidden(path.rsplit('/').next().unwrap_or_default());
        all.push(Attempt { name: name.to_owned(), ..make(&path, hidden) });
    };
    let plain = |fields, body| Attempt { name: String::new(), fields, body, trailers: Vec::new() };
    let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    more("a body of GET without a length", &|path, hidden| {
        plain(of("GET", path), Some(hidden.into_bytes()))
    });
    more("a body longer than its length", &|path, hidden| {
        let mut fields = of("POST", path);
        fields.push(field("content-length", "0"));
        plain(fields, Some(hidden.into_bytes()))
    });
    more("two paths", &|path, _| {
        let mut fields = of("GET", path);
        fields.push(field(":path", "/hidden/two"));
        plain(fields, None)
    });
    more("a path behind fields", &|path, _| {
        let mut fields = of("GET", path);
        let last = fields.pop().expect("it has four");
        fields.push(field("x", "y"));
        fields.push(last);
        plain(fields, None)
    });
    more("a status in a request", &|path, _| {
        let mut fields = of("GET", path);
        fields.insert(0, field(":status", "200"));
        plain(fields, None)
    });
    more("a length in the trailers", &|path, hidden| Attempt {
        trailers: vec![field("content-length", "0"), field("transfer-encoding", "chunked")],
        ..plain(of("POST", path), Some(hidden.into_bytes()))
    });
    more("a pseudo-field in the trailers", &|path, hidden| Attempt {
        trailers: vec![field(":path", "/hidden/trailer")],
        ..plain(of("POST", path), Some(hidden.into_bytes()))
    });
    more("lines in the trailers", &|path, hidden| Attempt {
        trailers: vec![field("x", &format!("y\r\n\r\n{hidden}"))],
        ..plain(of("POST", path), Some(b"body".to_vec()))
    });
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn attempts_have_names() {
        let all = corpus("localhost:1", |number| format!("/a/{number}"));
        let names: HashSet<&str> = all.iter().map(|attempt| attempt.name.as_str()).collect();
        assert_eq!((names.len(), all.len()), (all.len(), 47));
        assert!(all.iter().all(|attempt| attempt.fields.len() >= 4));
    }
}
