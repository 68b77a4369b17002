//! What a stranger may send, and what not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};
use weir_steering_api::{
    Body, Code, DecodeError, JoinRequest, Kind, Payload, Problem, Report, Wire, decode,
};

fn report() -> Value {
    json!({
        "version": 1,
        "identity": {
            "node": "edge-1", "site": "lim-01", "boot": 7, "sequence": 1, "up_ms": 1000,
            "clock_ms": 1_795_000_000_000_u64, "build": "0.1.0", "config": 1, "purge_epoch": 0,
            "serves": ["https://edge-1.example:443", "https://[::1]:8443"],
        },
        "capacity": {
            "network_bytes_per_s": 1.25e9, "processors": 2, "memory_bytes": 1 << 30,
            "requests": 8192, "disks": 2, "disks_in_use": 1,
        },
        "health": {
            "spare": 0.75, "scarcest": "lag", "used": {"cpu": 0.25, "memory": 0.5},
            "ready": true,
        },
        "serving": {
            "requests_per_s": 10.0, "bytes_per_s": 1e6, "hit_share": 0.9, "error_share": null,
            "ttfb_p99_ms": 12.0, "requests": 3, "clients": 2,
        },
        "fill": {"bytes_per_s": 0.0, "running": 0, "waiting": 0},
        "intent": {"state": "serving"},
        "applied": {"snapshot": 3, "intent": 1},
    })
}

fn read(value: &Value) -> Result<Report, DecodeError> {
    decode(&serde_json::to_vec(value).unwrap())
}

#[test]
fn a_report_goes_there_and_back() {
    let read_once = read(&report()).unwrap();
    assert_eq!(read_once.applied.0[&Kind::Snapshot], 3);
    assert_eq!(read(&serde_json::to_value(&read_once).unwrap()).unwrap(), read_once);
}

#[test]
fn bounds_hold() {
    let check = |at: &str, value: Value, expected: &str| {
        let mut changed = report();
        let (table, name) = at.rsplit_once('/').unwrap();
        changed.pointer_mut(table).unwrap().as_object_mut().unwrap().insert(name.into(), value);
        let error = read(&changed).unwrap_err().to_string();
        assert!(error.contains(expected), "{at}: {error}");
    };
    check("/version", json!(2), "version 2: this is version 1");
    check("/surprise", json!(1), "unknown field `surprise`");
    check("/identity/node", json!("../etc"), "/identity/node is a name");
    check("/identity/node", json!(""), "is a name");
    check("/identity/node", json!("e".repeat(65)), "is a name");
    check("/identity/boot", json!(0), "is never 0");
    check("/identity/sequence", json!(0), "begins with 1");
    check("/identity/sequence", json!(-1), "invalid value");
    check("/identity/build", json!("a\u{1b}[31m"), "without controls");
    check("/identity/serves", json!(["javascript:x"]), "/identity/serves/0 is `https://host:port`");
    check("/identity/serves", json!(["https://a/b"]), "/identity/serves/0");
    check("/identity/serves", json!(vec!["https://a"; 17]), "at most 16");
    check("/health/spare", json!(1.01), "/health/spare is a share");
    check("/health/spare", json!(null), "invalid type");
    check("/health/used", json!({"cpu": -0.1}), "/health/used is a share");
    check("/capacity/disks_in_use", json!(3), "as many as there are");
    check("/serving/bytes_per_s", json!(1e300), "an amount");
    check("/intent/state", json!("lazy"), "unknown variant");
    check("/intent/until_ms", json!(5), "in maintenance only");
    check("/applied/pudding", json!(5), "unknown variant");
    check("/inventory", json!({"id": 1, "entries": 1, "filter": "%"}), "is base64");
    check(
        "/routes",
        json!({"sessions_up": 2, "sessions": 1, "prefixes_v4": 1, "prefixes_v6": 1, "hash": "ab"}),
        "/routes/sessions_up",
    );
}

#[test]
fn of_another_version_it_may_have_any_shape() {
    let check = |bytes: &[u8], expected: &str| {
        let error = decode::<Report>(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(br#"{"version": 9, "hello": []}"#, "version 9");
    check(br#"{"version": 1, "hello": []}"#, "cannot be read");
    check(b"", "cannot be read");
    check(b"\xff\xfe", "cannot be read");
    check(&vec![b'['; 1 << 16], "cannot be read");
    let large = vec![b' '; Report::MOST_BYTES + 1];
    check(&large, "at most 786432");
}

#[test]
fn messages_to_nodes() {
    let check = |body: Value, expected: Option<&str>| {
        let value = json!({"version": 1, "number": 1, "made_ms": 5, "body": body});
        let read = decode::<Payload>(&serde_json::to_vec(&value).unwrap());
        match (read, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (read, expected) => panic!("{body}: {read:?}, expected {expected:?}"),
        }
    };
    check(json!({"kind": "intent", "intent": {"state": "draining"}}), None);
    check(json!({"kind": "snapshot", "grace_s": 3600, "nodes": []}), None);
    check(json!({"kind": "snapshot", "grace_s": 700_000, "nodes": []}), Some("at most a week"));
    check(json!({"kind": "keys", "jwks": {"keys": [{"kty": "OKP", "x": "a"}]}}), None);
    check(json!({"kind": "keys", "jwks": {"keys": [{"d": "a"}]}}), Some("public keys only"));
    check(json!({"kind": "keys", "jwks": {"keys": []}}), Some("1 to 64 keys"));
    check(json!({"kind": "keys", "jwks": 7}), Some("1 to 64 keys"));
    check(
        json!({"kind": "revocations", "revoked": [{"what": "session", "id": "s", "until_ms": 1}]}),
        None,
    );
    let order = |epoch: u64, by: &str| json!({"epoch": epoch, "service": "vod", "by": by, "what": "", "soft": true});
    check(json!({"kind": "purges", "orders": [order(1, "tag"), order(2, "url")]}), None);
    check(json!({"kind": "purges", "orders": [order(2, "tag"), order(2, "url")]}), Some("rising"));
    check(json!({"kind": "purges", "orders": [order(1, "moon")]}), Some("is by url"));
    check(json!({"kind": "coffee"}), Some("unknown variant"));
}

#[test]
fn kinds_are_called_as_they_are_written() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        assert_eq!(Kind::parse(kind.as_str()), Some(kind));
    }
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert!((400..600).contains(&Problem::new(code, "").status));
    }
    let intent = Body::Intent { intent: weir_steering_api::Intent::default() };
    assert_eq!(intent.kind(), Kind::Intent);
}

#[test]
fn a_join_token_is_not_shown() {
    let request = json!({
        "version": 1, "token": "wjt_secret", "node": "edge-1", "site": "lim-01",
        "csr": "-----BEGIN CERTIFICATE REQUEST-----\n",
    });
    let request: JoinRequest = decode(&serde_json::to_vec(&request).unwrap()).unwrap();
    assert!(!format!("{request:?}").contains("wjt_secret"));
}

/// Each prefix of a message, and each with one byte changed: refused or read, never a panic.
#[test]
fn no_bytes_panic() {
    let whole = serde_json::to_vec(&report()).unwrap();
    for at in 0..whole.len() {
        let _ = decode::<Report>(&whole[..at]);
        for byte in [0, b'"', b'9', b'}', 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let _ = decode::<Report>(&bytes);
        }
    }
}
