//! What somebody without the key tries, and what a token does not open.

mod common;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{NOW, b64, claims, key, verifier};
use proptest::prelude::*;
use weir_edge_token::{Claims, Memo, Reject, SigningKey, Verifier};

const PATH: &str = "/vod/sample/v1/1080/seg-1.m4s";

/// Verified three times: plainly, and with a memo that does not know it and one that may.
fn verdict(verifier: &Verifier, token: &str) -> Result<(), Reject> {
    let plain = verifier.verify(token, "film", PATH, NOW).map(drop);
    let mut memo = Memo::new(16);
    for _ in 0..2 {
        let again = verifier.verify_memo(&mut memo, token, "film", PATH, NOW).map(drop);
        assert_eq!(plain, again, "the memo changes no verdict: {token}");
    }
    plain
}

/// Header and claims as they stand, signed with the right key over exactly these bytes.
fn signed(seed: u8, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(payload));
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[seed; 32])
        .expect("every 32 bytes are a seed");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())))
}

const HEADER: &str = r#"{"alg":"EdDSA","kid":"k1"}"#;

fn payload(claims: &Claims) -> String {
    serde_json::to_string(claims).expect("claims become JSON")
}

#[test]
fn forged_tokens() {
    let (one, two) = (key(1, "k1"), key(2, "k2"));
    let verifier = verifier(&[&one, &two]);
    let good = one.mint(&claims()).unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let body = payload(&claims());
    let check = |name: &str, token: &str, expected: Result<(), Reject>| {
        assert_eq!(verdict(&verifier, token), expected, "{name}: {token}");
    };
    check("good", &good, Ok(()));
    check(
        "other name of the algorithm",
        &signed(1, r#"{"alg":"Ed25519","kid":"k1"}"#, &body),
        Ok(()),
    );

    // The algorithm is the verifier's business, not the token's.
    let none = format!("{}.{}.", b64(r#"{"alg":"none","kid":"k1"}"#), b64(&body));
    check("alg none", &none, Err(Reject::WrongAlgorithm));
    let none = format!("{}.{}.{signature}", b64(r#"{"alg":"None","kid":"k1"}"#), b64(&body));
    check("alg None with a signature", &none, Err(Reject::WrongAlgorithm));
    let hs256 = format!("{}.{}", b64(r#"{"alg":"HS256","kid":"k1"}"#), b64(&body));
    let public = one.public_jwk()["x"].as_str().unwrap().to_owned();
    let secret = hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes());
    let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, hs256.as_bytes()));
    check("HS256 with the public key", &format!("{hs256}.{tag}"), Err(Reject::WrongAlgorithm));
    for alg in ["ES256", "RS256", "EdDSA ", "eddsa", "Ed448", ""] {
        let header = format!(r#"{{"alg":"{alg}","kid":"k1"}}"#);
        check("other algorithm", &signed(1, &header, &body), Err(Reject::WrongAlgorithm));
    }

    check(
        "unknown key",
        &signed(3, r#"{"alg":"EdDSA","kid":"k3"}"#, &body),
        Err(Reject::UnknownKey),
    );
    check("no key id", &signed(1, r#"{"alg":"EdDSA"}"#, &body), Err(Reject::UnknownKey));
    check("a key of its own", &signed(3, HEADER, &body), Err(Reject::BadSignature));
    check(
        "another key's id",
        &signed(1, r#"{"alg":"EdDSA","kid":"k2"}"#, &body),
        Err(Reject::BadSignature),
    );
    let jwk = format!(r#"{{"alg":"EdDSA","kid":"k1","jwk":{}}}"#, key(3, "k1").public_jwk());
    check("a key in the header", &signed(3, &jwk, &body), Err(Reject::BadSignature));

    let wider = payload(&Claims::new("film", "/", NOW + 3600));
    let moved = format!("{}.{}.{signature}", b64(HEADER), b64(&wider));
    check("another payload", &moved, Err(Reject::BadSignature));
    check("no signature", &format!("{message}."), Err(Reject::Malformed));
    check("half a signature", &good[..good.len() - 20], Err(Reject::Malformed));
    check("zero signature", &format!("{message}.{}", "A".repeat(86)), Err(Reject::BadSignature));
    // 64 bytes leave four bits of the last character: another spelling of the same bytes.
    let last = good.chars().last().unwrap();
    let twin = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = twin.find(last).unwrap();
    let respelt = format!("{}{}", &good[..good.len() - 1], &twin[at + 1..at + 2]);
    check("stray bits", &respelt, Err(Reject::Malformed));
    check("padding", &format!("{good}="), Err(Reject::Malformed));
    check("plain base64", &good.replace('-', "+").replace('_', "/"), Err(Reject::Malformed));

    check("empty", "", Err(Reject::Malformed));
    check("no dots", "abc", Err(Reject::Malformed));
    check("four parts", &format!("{good}.x"), Err(Reject::Malformed));
    check("JWE", "a.b.c.d.e", Err(Reject::Malformed));
    check("too long", &format!("{good}{}", "A".repeat(2048)), Err(Reject::TooLong));
    check(
        "an extension that must be understood",
        &signed(1, r#"{"alg":"EdDSA","kid":"k1","crit":["b64"],"b64":false}"#, &body),
        Err(Reject::Malformed),
    );
    check(
        "two algorithms",
        &signed(1, r#"{"alg":"none","alg":"EdDSA","kid":"k1"}"#, &body),
        Err(Reject::Malformed),
    );
    check(
        "two key ids",
        &signed(1, r#"{"alg":"EdDSA","kid":"k2","kid":"k1"}"#, &body),
        Err(Reject::Malformed),
    );
}

/// Signed by the right key, but not saying what a token must say.
#[test]
fn signed_nonsense() {
    let verifier = verifier(&[&key(1, "k1")]);
    let check = |payload: &str, expected| {
        assert_eq!(verdict(&verifier, &signed(1, HEADER, payload)), expected, "{payload}");
    };
    let exp = NOW + 1;
    check(&format!(r#"{{"aud":"film","exp":{exp},"pfx":"/","new":1}}"#), Ok(()));
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"aud":"film","pfx":"/"}"#,
        r#"{"aud":"film","exp":"1900000000","pfx":"/"}"#,
        r#"{"aud":"film","exp":-1,"pfx":"/"}"#,
        r#"{"aud":"film","exp":1e300,"pfx":"/"}"#,
        r#"{"aud":"film","exp":99999999999999999999,"pfx":"/"}"#,
        r#"{"aud":["film"],"exp":1900000000,"pfx":"/"}"#,
        r#"{"aud":"film","exp":1900000000}"#,
        r#"{"aud":"film","exp":1,"exp":1900000000,"pfx":"/"}"#,
        r#"{"aud":"film","exp":1900000000,"pfx":"/","pfx":"/vod/"}"#,
    ] {
        check(bad, Err(Reject::Malformed));
    }
}

#[test]
fn times_and_audience() {
    let one = key(1, "k1");
    let verifier = verifier(&[&one]);
    let check = |change: &dyn Fn(&mut Claims), expected| {
        let mut claims = claims();
        change(&mut claims);
        assert_eq!(verdict(&verifier, &one.mint(&claims).unwrap()), expected, "{claims:?}");
    };
    check(&|_| (), Ok(()));
    check(&|c| c.exp = NOW + 1, Ok(()));
    // RFC 7519 §4.1.4: on or after.
    check(&|c| c.exp = NOW, Err(Reject::Expired));
    check(&|c| c.exp = 0, Err(Reject::Expired));
    check(&|c| c.exp = u64::MAX, Ok(()));
    check(&|c| c.nbf = Some(NOW), Ok(()));
    check(&|c| c.nbf = Some(NOW + 1), Err(Reject::NotYet));
    check(&|c| c.aud = "Film".into(), Err(Reject::WrongAudience));
    check(&|c| c.aud = "film ".into(), Err(Reject::WrongAudience));
}

/// A memo must not let an expired token live on, nor one of a key set that was replaced.
#[test]
fn a_memo_forgets() {
    let (one, two) = (key(1, "k1"), key(2, "k2"));
    let both = verifier(&[&one, &two]);
    let token = one.mint(&claims()).unwrap();
    let mut memo = Memo::new(8);
    let mut ask = |verifier: &Verifier, audience: &str, path: &str, now| {
        verifier.verify_memo(&mut memo, &token, audience, path, now).map(drop)
    };
    assert_eq!(ask(&both, "film", PATH, NOW), Ok(()));
    assert_eq!(ask(&both, "other", PATH, NOW), Err(Reject::WrongAudience));
    assert_eq!(ask(&both, "film", "/vod/other/a", NOW), Err(Reject::WrongPrefix));
    assert_eq!(ask(&both, "film", PATH, NOW + 3599), Ok(()));
    assert_eq!(ask(&both, "film", PATH, NOW + 3600), Err(Reject::Expired));
    let only_two = verifier(&[&two]);
    assert_eq!(ask(&only_two, "film", PATH, NOW), Err(Reject::UnknownKey));
    // The id stays, the key is another.
    let replaced = verifier(&[&key(9, "k1"), &two]);
    assert_eq!(ask(&replaced, "film", PATH, NOW), Err(Reject::BadSignature));
}

#[test]
fn a_memo_is_bounded() {
    let one = key(1, "k1");
    let verifier = verifier(&[&one]);
    let mut memo = Memo::new(64);
    let mint = |number: u64| {
        let claims = Claims { sid: Some(number.to_string()), ..claims() };
        one.mint(&claims).unwrap()
    };
    for number in 0..500 {
        verifier.verify_memo(&mut memo, &mint(number), "film", PATH, NOW).unwrap();
    }
    assert_eq!(memo.capacity(), 64);
    assert!(memo.len() <= 64 && memo.len() > 48, "{}", memo.len());
    // What nobody signed takes no place.
    let mut fresh = Memo::new(64);
    let forged = mint(1).replace("eyJ", "eyK");
    assert!(verifier.verify_memo(&mut fresh, &forged, "film", PATH, NOW).is_err());
    assert!(fresh.is_empty());
}

fn good() -> (SigningKey, String) {
    let one = key(1, "k1");
    let token = one.mint(&claims()).expect("a token");
    (one, token)
}

proptest! {
    #[test]
    fn nothing_panics(token in ".{0,200}", path in ".{0,100}") {
        let verifier = verifier(&[&good().0]);
        prop_assert!(verifier.verify(&token, "film", &path, NOW).is_err());
    }

    #[test]
    fn parts_do_not_panic(token in "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{80,90}") {
        prop_assert!(verifier(&[&good().0]).verify(&token, "film", PATH, NOW).is_err());
    }

    /// One character changed anywhere: never accepted.
    #[test]
    fn every_character_counts(at in 0usize..400, to in "[A-Za-z0-9_.-]") {
        let (one, token) = good();
        let at = at % token.len();
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        prop_assert!(verifier(&[&one]).verify(&changed, "film", PATH, NOW).is_err());
    }

    /// What is minted is what is verified.
    #[test]
    fn minted_is_verified(
        aud in "[a-z]{1,12}", sid in proptest::option::of("[a-zA-Z0-9]{0,20}"), life in 1u64..1_000_000,
        pfx in "(/[a-z0-9]{1,8}){1,4}/?", rung in proptest::option::of(0u32..20),
    ) {
        let one = key(1, "k1");
        let claims = Claims { sid, rung, ..Claims::new(aud.clone(), pfx.clone(), NOW + life) };
        let token = one.mint(&claims).expect("a token");
        let path = format!("{}/seg.m4s?x=1", pfx.trim_end_matches('/'));
        let verifier = verifier(&[&one]);
        prop_assert_eq!(verifier.verify(&token, &aud, &path, NOW), Ok(claims));
        prop_assert_eq!(verifier.verify(&token, &aud, &path, NOW + life), Err(Reject::Expired));
    }
}
