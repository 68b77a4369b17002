//! RFC 9111 §4.1: which fields select, and which requests select the same.

use http::HeaderMap;
use weir_edge_freshness::vary::{NAMES_MAX, Selecting, selected_by, selecting};

use crate::headers;

fn fields(name: &str, lines: &[&str]) -> HeaderMap {
    headers(&lines.iter().map(|line| (name, *line)).collect::<Vec<_>>())
}

// RFC 9111 §4.1 [vary.any]
#[test]
fn names() {
    let check = |lines: &[&str], expected: Option<&[&str]>| {
        let selecting = selecting(&fields("vary", lines));
        let names = match &selecting {
            Selecting::Nothing => Some(Vec::new()),
            Selecting::Fields(names) => Some(names.iter().map(|name| name.as_str()).collect()),
            Selecting::Any => None,
        };
        assert_eq!(names.as_deref(), expected, "{lines:?}");
    };
    check(&[], Some(&[]));
    check(&["", " , ,"], Some(&[]));
    check(&["Foo"], Some(&["foo"]));
    check(&["Foo, BAR", "foo"], Some(&["bar", "foo"]));
    // Wherever the asterisk stands.
    for line in ["*", "*, *", ", *", "Foo, *", "*,Foo"] {
        check(&[line], None);
    }
    check(&["", "*"], None);
    check(&["no name"], None);
    let many: Vec<_> = (0..=NAMES_MAX).map(|index| format!("f{index}")).collect();
    check(&[&many.join(",")], None);
    check(
        &[&many[1..].join(",")],
        Some(&{
            let mut names: Vec<&str> = many[1..].iter().map(String::as_str).collect();
            names.sort_unstable();
            names
        }),
    );
}

// RFC 9111 §4.1 [vary.match]
#[test]
fn requests() {
    let check = |name: &str, a: &[&str], b: &[&str], same: bool| {
        let names = [name.parse().unwrap()];
        let by = |lines| selected_by(&fields(name, lines), &names);
        assert_eq!(by(a) == by(b), same, "{name}: {a:?} {b:?}");
    };
    check("foo", &["1"], &["1"], true);
    check("foo", &["1"], &["2"], false);
    check("foo", &["1"], &[], false);
    check("foo", &[], &[], true);
    // Present and empty is not absent.
    check("foo", &[""], &[], false);
    check("foo", &["1, 2"], &["1", "2"], true);
    check("foo", &["1, 2"], &["1,2"], true);
    check("foo", &["1", "2"], &["1 , 2"], true);
    check("foo", &["1", "2"], &["1 ,, 2 ,"], false);
    check("foo", &[""], &[","], false);
    check("accept", &["1", "2"], &["1 ,, 2 ,"], true);
    check("user-agent", &["A (b, c)"], &["A (b,c)"], false);
    check("foo", &["1, 2"], &["2, 1"], false);
    check("foo", &["a"], &["A"], false);
    check("foo", &["\"a, b\""], &["\"a,b\""], false);
    check("foo", &["\"a\\\", b\""], &["\"a\\\",b\""], false);
    check("accept-language", &["en, de"], &["de,EN"], true);
    check("accept-language", &["en;q=0.5, de"], &["de , en; q=0.5"], true);
    check("accept-language", &["en;q=0.5"], &["en;q=0.6"], false);
    check("accept-encoding", &["gzip, br"], &["br", "GZIP"], true);
    check("accept-encoding", &["gzip, br"], &["br"], false);
    check("accept", &["text/html, */*"], &["text/html,*/*"], true);
}

/// No values of two fields run together, and no two values beyond ASCII become one.
#[test]
fn values_stay_apart() {
    let names = ["a".parse().unwrap(), "b".parse().unwrap()];
    let one = selected_by(&headers(&[("a", "1,b=2")]), &names);
    let two = selected_by(&headers(&[("a", "1"), ("b", "2")]), &names);
    assert_ne!(one, two);
    let mut latin = HeaderMap::new();
    latin.insert("a", http::HeaderValue::from_bytes(b"\xe4").unwrap());
    let mut utf8 = HeaderMap::new();
    utf8.insert("a", http::HeaderValue::from_bytes("ä".as_bytes()).unwrap());
    assert_ne!(selected_by(&latin, &names), selected_by(&utf8, &names));
}
