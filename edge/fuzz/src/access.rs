//! What the access log reads of clients and operators: CMCD (CTA-5004), the filter of
//! `cachectl logs tail`, and the forms of a line, whatever stands in it.

use weir_config_telemetry::{
    AccessFormat, Cmcd, Entry, RequestId,
    access::filter::{FILTER_MAX, Filter},
};

/// A request that says `text` wherever a client may say something.
fn entry<'a>(text: &'a str, said: &'a Cmcd) -> Entry<'a> {
    Entry {
        time: 1_800_000_000_000,
        id: RequestId(1),
        protocol: "h2",
        tls: None,
        client: None,
        method: text,
        host: text,
        path: text,
        status: 200,
        bytes: 1,
        whole: true,
        cache: "miss",
        service: None,
        sid: Some(text),
        range: Some(text),
        ttfb_ms: 0.5,
        total_ms: 1.5,
        cmcd: Some(said),
        referer: Some(text),
        agent: Some(text),
    }
}

pub(crate) fn cmcd(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut said = Cmcd::default();
    said.of_query(text);
    said.of_field(text);
    let written = said.written();
    assert!(!written.contains(char::is_control), "{written:?}");
    // What is longer is not looked at.
    if written.len() <= 2048 {
        let mut again = Cmcd::default();
        again.of_field(&written);
        assert_eq!(again, said, "it reads what it wrote: {written}");
    }
    for format in [AccessFormat::Json, AccessFormat::Combined, AccessFormat::W3c] {
        let mut line = Vec::new();
        assert!(format.write(&entry(text, &said), &mut line));
        assert!(line.iter().all(|byte| *byte >= b' '), "one line, and no control: {line:?}");
        if format == AccessFormat::W3c {
            let fields = format.header().lines().last().map_or(0, |all| all.split(' ').count() - 1);
            assert_eq!(line.split(|byte| *byte == b' ').count(), fields);
        }
    }
}

pub(crate) fn filter(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Filter::read(text) {
        Ok(filter) => {
            assert!(text.len() <= FILTER_MAX);
            let _either = filter.takes(&entry(text, &Cmcd::default()));
        }
        Err(error) => {
            assert!(error.length > 0 && error.at <= error.text.chars().count(), "{error:?}");
        }
    }
}
