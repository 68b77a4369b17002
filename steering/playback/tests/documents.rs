//! Documents and questions.

use expect_test::expect;
use proptest::prelude::*;
use weir_steering_playback::{ASKED_MAX, Asked, Document, Pace, Seen, ttl};

const RELOAD: &str = "https://steer.example/v1/steer/s1";

#[test]
fn a_document_is_what_players_read() {
    let document = Document::new(["lim-01-c3", "bog-02-c1"], 10, RELOAD).unwrap();
    expect![[r#"{"VERSION":1,"TTL":10,"RELOAD-URI":"https://steer.example/v1/steer/s1","PATHWAY-PRIORITY":["lim-01-c3","bog-02-c1"]}"#]]
        .assert_eq(&document.to_string());
}

#[test]
fn what_would_stop_a_player_is_refused() {
    let check = |pathways: &[&str], reload: &str, expected: &str| {
        let why = Document::new(pathways.iter().copied(), 10, reload).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    };
    check(&[], RELOAD, "it has no pathway");
    check(&["a", "b", "a"], RELOAD, "pathway `a` is there twice");
    check(&["a\"b"], RELOAD, "pathway `a\"b`: an id is");
    check(&[""], RELOAD, "an id is");
    check(&["a", "b", "c", "d", "e", "f", "g", "h", "i"], RELOAD, "it has 9 pathways");
    for reload in ["/v1/steer/s1", "steer?x", "", "https:///x", "ftp://h/", "https://h/ x"] {
        check(&["a"], reload, "is not absolute");
    }
}

#[test]
fn there_is_always_a_time_to_live() {
    let document = |ttl| Document::new(["a"], ttl, RELOAD).unwrap().ttl();
    assert_eq!((document(0), document(10), document(u32::MAX)), (5, 10, 300));
    let pace = Pace::default();
    for (stress, draw, expected) in
        [(false, 0, 60), (false, u64::MAX, 48), (true, 0, 10), (true, u64::MAX, 8)]
    {
        assert_eq!(ttl(pace, stress, draw), expected);
    }
    // Spread evenly, so that nobody asks at once.
    let mean: u32 = (0..1000_u64).map(|at| ttl(pace, false, at * (u64::MAX / 1000))).sum();
    assert!((53_000..55_000).contains(&mean), "{mean}");
}

#[track_caller]
fn check(query: &str, expected: &[(&str, Option<u64>)], garbled: bool) {
    let seen = expected.iter().map(|(pathway, throughput)| Seen {
        pathway: (*pathway).to_owned(),
        throughput: *throughput,
    });
    assert_eq!(Asked::parse(query), Asked { seen: seen.collect(), garbled }, "{query}");
}

#[test]
fn what_players_say() {
    check("", &[], false);
    check("_HLS_pathway=c3&_HLS_throughput=5140000", &[("c3", Some(5_140_000))], false);
    check("x=1&_HLS_pathway=lim-01-c3", &[("lim-01-c3", None)], false);
    check("_HLS_throughput=5140000.25&_HLS_pathway=c3", &[("c3", Some(5_140_000))], false);
    let dash = "_DASH_pathway=%22alpha%2Cbeta%22&_DASH_throughput=%225140000%2C1200%22";
    check(dash, &[("alpha", Some(5_140_000)), ("beta", Some(1200))], false);
    check(
        "_DASH_pathway=\"alpha,beta\"&_DASH_throughput=\"\"",
        &[("alpha", None), ("beta", None)],
        false,
    );
}

#[test]
fn garbage_is_as_if_it_were_not_there() {
    check("_HLS_pathway=%zz&_HLS_throughput=9", &[], true);
    check("_HLS_pathway=a%00b", &[], true);
    check("_HLS_pathway=c3&_HLS_throughput=-5", &[("c3", None)], true);
    check("_HLS_pathway=c3&_HLS_throughput=1e9", &[("c3", None)], true);
    check("_HLS_pathway=c3&_HLS_throughput=99999999999999999999", &[("c3", None)], true);
    check("_HLS_pathway=c3&_HLS_pathway=c4", &[("c3", None)], true);
    check(&format!("_HLS_pathway={}", "x".repeat(100)), &[], true);
    check(&"x".repeat(5000), &[], true);
    let many = Asked::parse(&format!("_DASH_pathway={}", ["a"; 50].join(",")));
    assert_eq!((many.seen.len(), many.garbled), (ASKED_MAX, true));
}

proptest! {
    #[test]
    fn no_question_panics(query in ".{0,200}", value in "[%0-9a-fA-F\",.+-]{0,80}") {
        for query in [&query, &format!("_DASH_pathway={value}&_DASH_throughput={value}")] {
            let asked = Asked::parse(query);
            prop_assert!(asked.seen.len() <= ASKED_MAX);
            for seen in &asked.seen {
                // Whatever is kept may stand in a document.
                prop_assert!(Document::new([&*seen.pathway], 1, RELOAD).is_ok());
            }
        }
    }
}
