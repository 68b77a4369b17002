//! Key documents: what is refused, and that other people's tools understand ours.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use common::{NOW, claims, key, verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde_json::{Value, json};
use weir_edge_token::{Claims, JwksError, KeyError, MintError, SigningKey, Verifier, key_set};

#[test]
fn documents() {
    let good = key(1, "k1").public_jwk();
    let check = |name: &str, document: &Value, expected: Option<&str>| {
        let found = Verifier::new(&document.to_string()).err().map(|e| e.to_string());
        assert_eq!(found.as_deref(), expected, "{name}");
    };
    let with = |field: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[field] = value;
        json!({ "keys": [jwk] })
    };
    let rsa = json!({"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"});
    check("one", &json!({ "keys": [good] }), None);
    check("others are passed over", &json!({ "keys": [rsa, good] }), None);
    check(
        "only others",
        &json!({ "keys": [rsa] }),
        Some("the JWKS document holds no Ed25519 key (\"kty\": \"OKP\", \"crv\": \"Ed25519\")"),
    );
    check(
        "twice",
        &json!({ "keys": [good, key(2, "k1").public_jwk()] }),
        Some("the JWKS document holds two keys with the kid \"k1\""),
    );
    check(
        "without kid",
        &with("kid", Value::Null),
        Some("key 0 of the JWKS document has no \"kid\""),
    );
    check(
        "short",
        &with("x", json!("AAAA")),
        Some("the key \"k1\" has no usable \"x\": 32 bytes in base64url without padding"),
    );
    check(
        "for encryption",
        &with("use", json!("enc")),
        Some("the key \"k1\" is not for signatures with EdDSA: \"use\" is \"enc\""),
    );
    check(
        "for another algorithm",
        &with("alg", json!("HS256")),
        Some("the key \"k1\" is not for signatures with EdDSA: \"alg\" is \"HS256\""),
    );
    check(
        "private",
        &json!({ "keys": [key(1, "k1").private_jwk()] }),
        Some("the key \"k1\" is a private one; only public keys belong in a JWKS document"),
    );
    let many: Vec<_> = (0..65).map(|n| key(1, &n.to_string()).public_jwk()).collect();
    check(
        "too many",
        &json!({ "keys": many }),
        Some("the JWKS document holds 65 keys; 64 are the most"),
    );
    assert!(matches!(Verifier::new("{}"), Err(JwksError::Form(_))));
    assert!(matches!(Verifier::new("not json"), Err(JwksError::Form(_))));
}

#[test]
fn several_keys_by_id() {
    let (one, two) = (key(1, "k1"), key(2, "k2"));
    let verifier = verifier(&[&one, &two]);
    assert_eq!(verifier.kids().collect::<Vec<_>>(), ["k1", "k2"]);
    for key in [&one, &two] {
        let token = key.mint(&claims()).unwrap();
        verifier.verify(&token, "film", "/vod/sample/a", NOW).unwrap();
    }
}

#[test]
fn private_keys() {
    let one = key(1, "k1");
    let text = one.private_jwk().to_string();
    let read = SigningKey::from_jwk(&text).unwrap();
    assert_eq!(read.mint(&claims()), one.mint(&claims()));
    assert!(!format!("{read:?}").contains(one.private_jwk()["d"].as_str().unwrap()));

    assert!(matches!(SigningKey::from_jwk(&one.public_jwk().to_string()), Err(KeyError::Public)));
    let mut swapped = one.private_jwk();
    swapped["x"] = key(2, "k2").public_jwk()["x"].clone();
    let error = SigningKey::from_jwk(&swapped.to_string()).unwrap_err();
    assert!(matches!(error, KeyError::Damaged(_)), "{error}");
    let ec = r#"{"kty":"EC","crv":"P-256","d":"AA"}"#;
    assert!(matches!(SigningKey::from_jwk(ec), Err(KeyError::Kind)));
    // A syntax error must not quote the secret beside it.
    let error = SigningKey::from_jwk(&text.replace("\"d\":", "\"d\" ")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("AQEB"), "{error:?}");
}

/// RFC 8037 appendix A.1 to A.3: the key, its public part and its thumbprint.
#[test]
fn the_example_of_rfc_8037() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = SigningKey::from_jwk(jwk).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn tokens_that_would_open_nothing() {
    let one = key(1, "k1");
    let check = |claims: &Claims, expected: &str| {
        assert_eq!(one.mint(claims).unwrap_err().to_string(), expected);
    };
    check(&Claims { aud: String::new(), ..claims() }, "the audience is empty");
    check(&Claims { pfx: "vod/".into(), ..claims() }, "the prefix \"vod/\" opens nothing");
    check(
        &Claims { pfx: "/vod/%2e%2e/".into(), ..claims() },
        "the prefix \"/vod/%2e%2e/\" opens nothing",
    );
    check(&Claims { nbf: Some(NOW + 3600), ..claims() }, "it would expire before it becomes valid");
    let long = Claims { sid: Some("s".repeat(4000)), ..claims() };
    assert!(matches!(one.mint(&long), Err(MintError::TooLong(_))));
}

/// Ours read by `jsonwebtoken`, and its read by us.
#[test]
fn another_library_agrees() {
    let one = key(1, "k1");
    let jwks: jsonwebtoken::jwk::JwkSet =
        serde_json::from_value(key_set([&one])).expect("our document is a JWKS document");
    let public = DecodingKey::from_jwk(jwks.find("k1").unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["film"]);
    validation.validate_exp = false;
    let token = one.mint(&claims()).unwrap();
    let read = jsonwebtoken::decode::<Claims>(&token, &public, &validation).unwrap();
    assert_eq!(read.claims, claims());
    assert_eq!(read.header.kid.as_deref(), Some("k1"));

    // RFC 8410 §7: a PKCS#8 Ed25519 key is this prefix and the seed.
    let pkcs8 =
        [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &[1; 32]]
            .concat();
    let mut header = jsonwebtoken::Header::new(Algorithm::EdDSA);
    header.kid = Some("k1".into());
    let theirs =
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_ed_der(&pkcs8)).unwrap();
    let found = verifier(&[&one]).verify(&theirs, "film", "/vod/sample/a", NOW);
    assert_eq!(found, Ok(claims()));
}
