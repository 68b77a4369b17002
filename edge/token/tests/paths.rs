//! Which paths a prefix opens, where a token stands in a path, and that it is never written down.

use proptest::prelude::*;
use weir_edge_token::{Claims, PathError, canonical, insert, redact, split_path};

#[test]
fn prefixes() {
    let check = |prefix: &str, path: &str, expected: bool| {
        let claims = Claims::new("film", prefix, 10);
        assert_eq!(claims.opens(path).is_ok(), expected, "{prefix} {path}");
    };
    check("/vod/sample/", "/vod/sample/a.m4s", true);
    check("/vod/sample/", "/vod/sample/v1/a.m4s?CMCD=bl%3D2", true);
    check("/vod/sample/", "/vod/sample/", true);
    check("/vod/sample/", "/vod/sample", false);
    check("/vod/sample", "/vod/sample", true);
    check("/vod/sample", "/vod/sample/a", true);
    check("/", "/anything", true);
    check("/vod/a.m4s", "/vod/a.m4s", true);
    // Whole segments only.
    check("/vod/sample", "/vod/sample2/a", false);
    check("/vod/sam", "/vod/sample/a", false);
    check("/vod/sample/", "/vod/Sample/a", false);
    check("/vod/sample/", "/x/vod/sample/a", false);
    check("/vod/sample/", "//vod/sample/a", false);
    // Out again by dots, however they are written.
    check("/vod/sample/", "/vod/sample/../other/a", false);
    check("/vod/sample/", "/vod/sample/..", false);
    check("/vod/sample/", "/vod/sample/./a", false);
    check("/vod/sample/", "/vod/sample/%2e%2e/other/a", false);
    check("/vod/sample/", "/vod/sample/%2E%2e/other/a", false);
    check("/vod/sample/", "/vod/sample/.%2e/other/a", false);
    check("/vod/sample/", "/vod/sample/%2e/a", false);
    check("/vod/sample/", "/vod/sample/..%2fother/a", false);
    check("/vod/sample/", "/vod/sample/..%5cother/a", false);
    check("/vod/sample/", "/vod/sample/..\\other\\a", false);
    check("/vod/sample/", "/vod/sample/%252e%252e/other/a", false);
    check("/vod/sample/", "/vod/sample/..%252fother/a", false);
    check("/vod/sample/", "/vod/sample/..;/other/a", false);
    check("/vod/sample/", "/vod/sample/..;x=1/other/a", false);
    check("/vod/sample/", "/vod/sample/%2e%2e;/other/a", false);
    check("/vod/sample/", "/vod/sample/a%00.m4s", false);
    check("/vod/sample/", "/vod/sample/a%0d%0ab", false);
    check("/vod/sample/", "/vod/sample/a b", false);
    check("/vod/sample/", "/vod/sample/a#b", false);
    check("/vod/sample/", "/vod/sample/%", false);
    check("/vod/sample/", "/vod/sample/%4", false);
    check("/vod/sample/", "/vod/sample/%zz", false);
    check("/vod/sample/", "/vod/sample/%u002e", false);
    check("/vod/sample/", "/vod/sample/\u{e9}", false);
    check("/vod/sample/", "vod/sample/a", false);
    check("/vod/sample/", "", false);
    // Dots that mean nothing, and other spellings of the same path.
    check("/vod/sample/", "/vod/sample/a..b/.hidden/...", true);
    check("/vod/sample/", "/vod/sample/a%2eb", true);
    check("/vod/sample/", "/%76od/s%61mple/a", true);
    check("/vod/s%61mple/", "/vod/sample/a", true);
    check("/vod/caf%c3%a9/", "/vod/caf%C3%A9/a", true);
    check("/vod/100%25/", "/vod/100%25/a", true);
    check("/vod/a%20b/", "/vod/a%20b/c", true);
    // A prefix that says nothing opens nothing.
    check("", "/vod/sample/a", false);
    check("vod", "/vod/sample/a", false);
    check("/vod/../", "/vod/../a", false);
}

#[test]
fn one_spelling() {
    let check = |path: &str, expected: Result<&str, PathError>| {
        let found = canonical(path);
        assert_eq!(found.as_deref(), expected.as_ref().copied(), "{path}");
    };
    check("/a/b", Ok("/a/b"));
    check("/a%2Db/%7euser", Ok("/a-b/~user"));
    check("/caf%c3%a9", Ok("/caf%C3%A9"));
    check("/a;v=1/b,c:@!$&'()*+=", Ok("/a;v=1/b,c:@!$&'()*+="));
    check("a", Err(PathError::Relative));
    check("/a/..", Err(PathError::Dots));
    check("/a%2fb", Err(PathError::Slash));
    check("/a%2", Err(PathError::Percent));
    check("/a%252e", Err(PathError::Percent));
    check("/a%25%32%65", Err(PathError::Percent));
    check("/100%25", Ok("/100%25"));
    check("/a?b", Err(PathError::Character));
}

#[test]
fn tokens_in_paths() {
    let check = |path: &str, expected: Option<(&str, &str)>| {
        assert_eq!(split_path(path), expected, "{path}");
    };
    check("/t/tok/vod/a", Some(("tok", "/vod/a")));
    check("/t/tok/", Some(("tok", "/")));
    check("/t/tok/vod/a?x=/t/y/z", Some(("tok", "/vod/a?x=/t/y/z")));
    check("/t/tok", None);
    check("/t/tok?x=/y", None);
    check("/t//vod/a", None);
    check("/vod/t/tok/a", None);
    check("/t", None);
    check("/T/tok/a", None);
    assert_eq!(split_path(&insert("tok", "/vod/a")), Some(("tok", "/vod/a")));
}

const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJhdWQiOiJmIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ";

#[test]
fn tokens_are_not_written_down() {
    let check = |text: &str, expected: &str| {
        let text = text.replace("JWT", JWT);
        assert_eq!(redact(&text), expected, "{text}");
    };
    check("/t/JWT/vod/a.m4s", "/t/-/vod/a.m4s");
    check("/t/anything-at-all/vod/a", "/t/-/vod/a");
    check("/t/JWT", "/t/-");
    check("/t/JWT?x=1", "/t/-?x=1");
    check("/t/cut", "/t/-");
    check("https://cdn.example:8443/t/JWT/vod/a", "https://cdn.example:8443/t/-/vod/a");
    check("//cdn.example/t/cut/vod/a", "//cdn.example/t/-/vod/a");
    check("referer=\"https://h/t/x/a\" path=/t/y/b", "referer=\"https://h/t/-/a\" path=/t/-/b");
    check("GET /t/x/a HTTP/1.1", "GET /t/-/a HTTP/1.1");
    check("/a?next=%2Ft%2FJWT%2Fvod", "/a?next=%2Ft%2F-%2Fvod");
    check("token JWT was refused", "token - was refused");
    check("eyJhbGciOiJFZERTQSJ9.eyJhdWQ", "-");
    check("/vod/JWT/a", "/vod/-/a");
    check("/t/JWT/t/JWT/a", "/t/-/t/-/a");
    // Not tokens.
    check("/vod/t/seg-1.m4s", "/vod/t/seg-1.m4s");
    check("/vod/a.m4s", "/vod/a.m4s");
    check("/t/", "/t/");
    check("/vod/eyJ.m4s", "/vod/eyJ.m4s");
    check("", "");
}

proptest! {
    #[test]
    fn canonical_is_stable(path in "/[a-zA-Z0-9%./;_~ -]{0,40}") {
        if let Ok(once) = canonical(&path) {
            let twice = canonical(&once);
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
        }
    }

    #[test]
    fn no_path_panics(path in ".{0,80}") {
        let _ = (canonical(&path), split_path(&path), redact(&path));
    }

    /// Whatever a prefix opens lies below it once dots and encodings are resolved as the most
    /// generous server would: decoded until nothing changes, backslashes as slashes.
    #[test]
    fn nothing_leads_out(tail in "([a-z.]|%2e|%2E|%2f|%5c|%25|\\\\|/|;|\\.\\./){0,12}") {
        let path = format!("/vod/sample/{tail}");
        if Claims::new("film", "/vod/sample/", 1).opens(&path).is_ok() {
            prop_assert!(resolved(&path).starts_with("/vod/sample"), "{}", path);
        }
    }

    #[test]
    fn a_token_never_survives(before in "[ -~]{0,20}", after in "[ -~]{0,20}") {
        let text = format!("{before} /t/{JWT}/{after}");
        prop_assert!(!redact(&text).contains("eyJhdWQiOiJmIn0"), "{}", text);
    }
}

fn resolved(path: &str) -> String {
    let mut path = path.to_ascii_lowercase();
    loop {
        let mut next = path.clone();
        for (from, to) in [("%2e", "."), ("%2f", "/"), ("%5c", "/"), ("%25", "%"), ("\\", "/")] {
            next = next.replace(from, to);
        }
        if next == path {
            break;
        }
        path = next;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part.split(';').next().unwrap_or_default() {
            "" | "." => (),
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
