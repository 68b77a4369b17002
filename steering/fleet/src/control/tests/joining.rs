//! Who is let in, with what, and who is not.

use super::*;
use crate::identity::Identity;

#[tokio::test]
async fn a_node_joins_with_a_token() {
    let fleet = Fleet::new().await;
    let token = fleet.token(once()).await;
    let answer = fleet.join(&token, "edge-1").await.unwrap();
    let certificate = der(&answer.certificate);
    let identity = fleet.control.identify(Some(&certificate)).unwrap();
    assert_eq!(identity.node, "edge-1");
    assert_eq!(answer.ends_ms, 1_795_000_000_000 + 7 * DAY_MS);
    assert_eq!(identity.ends_s * 1_000, answer.ends_ms);
    assert_eq!(answer.renew_ms, 1_795_000_000_000 + 7 * DAY_MS / 3 * 2);
    assert!(answer.authority.starts_with("-----BEGIN CERTIFICATE-----"));
    let view = fleet.control.node("edge-1").unwrap();
    assert_eq!((&*view.site, view.certificate_ends_ms), ("lim-01", Some(answer.ends_ms)));
    let history = fleet.control.history("edge-1", 10).await.unwrap();
    assert_eq!(history[0].kind, "joined");
    // Once is once.
    let denied = fleet.join(&token, "edge-2").await.unwrap_err();
    assert_eq!(denied.code, Code::TokenUsed);
}

#[tokio::test]
async fn tokens_that_open_nothing() {
    let fleet = Fleet::new().await;
    let check = async |token: &str, code: Code| {
        let before = fleet.refused(code);
        let denied = fleet.join(token, "edge-1").await.unwrap_err();
        assert_eq!(denied.code, code, "{denied}");
        assert_eq!(fleet.refused(code), before + 1);
        assert!(!denied.detail.contains("wjt_"), "{denied}");
    };
    check("", Code::TokenUnknown).await;
    check("password", Code::TokenUnknown).await;
    check(crate::token::JoinToken::draw(&SystemEntropy).reveal(), Code::TokenUnknown).await;
    let elsewhere = Admission { site: Some("mia-02".into()), ..once() };
    check(&fleet.token(elsewhere).await, Code::TokenForeign).await;
    let another = Admission { node: Some("edge-9".into()), ..once() };
    check(&fleet.token(another).await, Code::TokenForeign).await;
    let revoked = fleet.token(once()).await;
    let id = fleet.control.tokens().await.unwrap()[0].id.clone();
    // Made in the same millisecond: the newest is not known by its place.
    for token in fleet.control.tokens().await.unwrap() {
        fleet.control.revoke_token(&token.id).await.unwrap();
    }
    check(&revoked, Code::TokenRevoked).await;
    assert_eq!(fleet.control.revoke_token(&id).await.unwrap_err().code, Code::NotFound);
    let short = fleet.token(Admission { life: Duration::from_secs(1), ..once() }).await;
    fleet.clock.advance_millis(1_000);
    check(&short, Code::TokenExpired).await;
    assert!(fleet.control.nodes().is_empty());
}

#[tokio::test]
async fn tokens_that_are_not_made() {
    let fleet = Fleet::new().await;
    let check = async |admission: Admission| {
        let denied = fleet.control.admit(&admission).await.unwrap_err();
        assert_eq!(denied.code, Code::Malformed, "{admission:?}");
    };
    check(Admission { uses: 0, ..once() }).await;
    check(Admission { uses: 1_001, ..once() }).await;
    check(Admission { life: Duration::ZERO, ..once() }).await;
    check(Admission { life: Duration::from_secs(31 * 86_400), ..once() }).await;
    check(Admission { site: Some("a b".into()), ..once() }).await;
    check(Admission { node: Some(String::new()), ..once() }).await;
}

#[tokio::test]
async fn a_request_that_is_none_costs_no_use() {
    let fleet = Fleet::new().await;
    let token = fleet.token(once()).await;
    let good = csr();
    let middle = good.len() / 2;
    let mut torn = good.clone();
    let other = if &torn[middle..=middle] == "A" { "B" } else { "A" };
    torn.replace_range(middle..=middle, other);
    for bad in [torn, "-----BEGIN CERTIFICATE REQUEST-----\n".into(), good[..middle].to_owned()] {
        let denied = fleet.control.join(&joining(&token, "edge-1", &bad)).await.unwrap_err();
        assert_eq!(denied.code, Code::CsrRefused, "{denied}");
    }
    let denied = fleet.control.join(&joining(&token, "edge-1", "hello")).await.unwrap_err();
    assert_eq!(denied.code, Code::Malformed);
    let denied = fleet.control.join(&vec![b' '; 20_000]).await.unwrap_err();
    assert_eq!(denied.code, Code::TooLarge);
    fleet.control.join(&joining(&token, "edge-1", &good)).await.unwrap();
}

/// Of a request only the key is taken: not the names, not the wish to be an authority.
#[tokio::test]
async fn a_node_gets_no_more_than_its_name() {
    let fleet = Fleet::new().await;
    let mut asked = CertificateParams::new(vec!["steering.example".to_owned()]).unwrap();
    asked.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    asked.subject_alt_names.push(rcgen::SanType::URI("urn:weir:node:edge-9".try_into().unwrap()));
    asked.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let request = asked.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let token = fleet.token(once()).await;
    let answer = fleet.control.join(&joining(&token, "edge-1", &request)).await.unwrap();
    let certificate = der(&answer.certificate);
    assert_eq!(Identity::of(&certificate).unwrap().node, "edge-1");
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    assert!(!parsed.is_ca());
    let uses = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(uses.client_auth && !uses.server_auth && !uses.any);
    let names = parsed.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names.len(), 1);
}

#[tokio::test]
async fn a_name_is_taken_over_only_with_a_token_for_it() {
    let fleet = Fleet::new().await;
    let first = fleet.node("edge-1").await;
    let plain = fleet.token(once()).await;
    let denied = fleet.join(&plain, "edge-1").await.unwrap_err();
    assert_eq!(denied.code, Code::NodeExists);
    // The token has its use still.
    fleet.join(&plain, "edge-2").await.unwrap();
    let named = fleet.token(Admission { node: Some("edge-1".into()), ..once() }).await;
    let second = der(&fleet.join(&named, "edge-1").await.unwrap().certificate);
    let denied = fleet.control.identify(Some(&first)).unwrap_err();
    assert_eq!(denied.code, Code::CertificateRevoked);
    fleet.control.identify(Some(&second)).unwrap();
    let history = fleet.control.history("edge-1", 10).await.unwrap();
    assert_eq!(history[0].kind, "rejoined");
}

#[tokio::test]
async fn certificates_follow_one_another_and_end() {
    let fleet = Fleet::new().await;
    let first = fleet.node("edge-1").await;
    let request = bytes(&json!({"version": 1, "csr": csr()}));
    fleet.clock.advance_millis(5 * DAY_MS);
    let second = fleet.control.renew(Some(&first), &request).await.unwrap();
    assert_eq!(second.ends_ms, 1_795_000_000_000 + 12 * DAY_MS);
    let again = fleet.control.renew(Some(&first), &request).await.unwrap_err();
    assert_eq!(again.code, Code::TooMany);
    fleet.clock.advance_millis(2 * DAY_MS);
    let denied = fleet.control.identify(Some(&first)).unwrap_err();
    assert_eq!(denied.code, Code::CertificateExpired);
    fleet.control.identify(Some(&der(&second.certificate))).unwrap();
    // Off for three months: with a token that names it, it is back.
    fleet.clock.advance_millis(90 * DAY_MS);
    let denied = fleet.control.identify(Some(&der(&second.certificate))).unwrap_err();
    assert_eq!(denied.code, Code::CertificateExpired);
    let named = fleet.token(Admission { node: Some("edge-1".into()), ..once() }).await;
    let third = fleet.join(&named, "edge-1").await.unwrap();
    fleet.control.identify(Some(&der(&third.certificate))).unwrap();
}

#[tokio::test]
async fn who_is_not_of_the_fleet() {
    let fleet = Fleet::new().await;
    let check = |shown: Option<&[u8]>, code: Code| {
        let denied = fleet.control.identify(shown).unwrap_err();
        assert_eq!(denied.code, code, "{denied}");
    };
    check(None, Code::CertificateMissing);
    check(Some(b"no certificate"), Code::NodeUnknown);
    let revoked = fleet.node("edge-1").await;
    assert_eq!(fleet.control.revoke("edge-1").await.unwrap(), 1);
    check(Some(&revoked), Code::CertificateRevoked);
    let forgotten = fleet.node("edge-2").await;
    fleet.control.forget("edge-2").await.unwrap();
    check(Some(&forgotten), Code::NodeUnknown);
    // Another machine of that name does not make the first one's certificate good again.
    let _other = fleet.node("edge-2").await;
    check(Some(&forgotten), Code::CertificateRevoked);
    assert_eq!(fleet.control.forget("nobody").await.unwrap_err().code, Code::NotFound);
    assert_eq!(fleet.control.revoke("nobody").await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn who_tries_all_the_time_is_slowed_down() {
    let fleet = Fleet::new().await;
    let mut codes = Vec::new();
    for _ in 0..40 {
        codes.push(fleet.join("guess", "edge-1").await.unwrap_err().code);
    }
    assert_eq!(codes[0], Code::TokenUnknown);
    assert!(codes.contains(&Code::TooMany));
}
