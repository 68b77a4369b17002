//! What nodes say, and what they are told.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use weir_steering_api::{Body, Desired, Kind, Payload, Signed, decode};

use super::*;
use crate::{control::operate::Wanted, member::Clockwork, member::Presence};

fn opened(fleet: &Fleet, signed: &Signed) -> Payload {
    let keys = fleet.control.signer().keys();
    let key = keys.iter().find(|key| key.id == signed.key).unwrap();
    let key = STANDARD.decode(&key.key).unwrap();
    let signature = STANDARD.decode(&signed.signature).unwrap();
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(&Signed::signed_bytes(&signed.payload), &signature).unwrap();
    decode(signed.payload.as_bytes()).unwrap()
}

#[tokio::test]
async fn what_was_told_is_told_until_it_is_in_effect() {
    let fleet = Fleet::new().await;
    let shown = fleet.node("edge-1").await;
    let first = fleet.control.report(Some(&shown), &bytes(&report("edge-1", 1))).unwrap();
    assert_eq!((first.sequence, first.clock_off_ms, first.every_ms), (1, None, 1_000));
    let told: Vec<_> = first.down.iter().map(|signed| opened(&fleet, signed)).collect();
    let [Payload { number, body: Body::Snapshot { nodes, .. }, .. }] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(nodes[0].node, "edge-1");
    let again = fleet.control.report(Some(&shown), &bytes(&report("edge-1", 2))).unwrap();
    assert_eq!(again.down, first.down);
    assert_eq!(fleet.control.node("edge-1").unwrap().behind, [Kind::Snapshot]);
    let mut done = report("edge-1", 3);
    done["applied"]["snapshot"] = json!(number);
    let last = fleet.control.report(Some(&shown), &bytes(&done)).unwrap();
    assert_eq!(last.down, []);
    assert!(fleet.control.node("edge-1").unwrap().behind.is_empty());
}

#[tokio::test]
async fn a_kind_that_a_node_does_not_know_is_not_sent() {
    let fleet = Fleet::new().await;
    let shown = fleet.node("edge-1").await;
    let mut simple = report("edge-1", 1);
    simple["applied"] = json!({});
    let answer = fleet.control.report(Some(&shown), &bytes(&simple)).unwrap();
    assert_eq!(answer.down, []);
    assert!(fleet.control.node("edge-1").unwrap().behind.is_empty());
}

#[tokio::test]
async fn a_node_is_told_what_is_wanted_of_it_alone() {
    let fleet = Fleet::new().await;
    let (one, other) = (fleet.node("edge-1").await, fleet.node("edge-2").await);
    let draining = Wanted { state: Desired::Draining, until_ms: None };
    let view = fleet.control.want("edge-1", draining).await.unwrap();
    assert_eq!((view.wanted, view.behind), (Desired::Draining, vec![]));
    let answer = fleet.control.report(Some(&one), &bytes(&report("edge-1", 1))).unwrap();
    let bodies: Vec<_> = answer.down.iter().map(|signed| opened(&fleet, signed)).collect();
    let intents: Vec<_> = bodies.iter().filter(|told| told.body.kind() == Kind::Intent).collect();
    assert_eq!(intents.len(), 1);
    assert_eq!(intents[0].node.as_deref(), Some("edge-1"));
    let answer = fleet.control.report(Some(&other), &bytes(&report("edge-2", 1))).unwrap();
    assert!(answer.down.iter().all(|signed| opened(&fleet, signed).body.kind() != Kind::Intent));
    let snapshot = opened(&fleet, &answer.down[0]).body;
    let Body::Snapshot { nodes, .. } = snapshot else { panic!("{snapshot:?}") };
    assert_eq!(nodes[0].state, Desired::Draining);
    let missing = fleet.control.want("nobody", draining).await.unwrap_err();
    assert_eq!(missing.code, Code::NotFound);
}

#[tokio::test]
async fn another_nodes_name_is_refused() {
    let fleet = Fleet::new().await;
    let (one, _other) = (fleet.node("edge-1").await, fleet.node("edge-2").await);
    let denied = fleet.control.report(Some(&one), &bytes(&report("edge-2", 1))).unwrap_err();
    assert_eq!(denied.code, Code::IdentityForeign);
    assert_eq!(fleet.refused(Code::IdentityForeign), 1);
    assert_eq!(fleet.control.node("edge-2").unwrap().presence, Presence::Unheard);
    assert_eq!(fleet.control.node("edge-1").unwrap().presence, Presence::Unheard);
}

#[tokio::test]
async fn reports_that_are_refused() {
    let fleet = Fleet::new().await;
    let shown = fleet.node("edge-1").await;
    fleet.control.report(Some(&shown), &bytes(&report("edge-1", 5))).unwrap();
    let check = |said: &[u8], code: Code| {
        let before = fleet.refused(code);
        let denied = fleet.control.report(Some(&shown), said).unwrap_err();
        assert_eq!(denied.code, code, "{denied}");
        assert_eq!(fleet.refused(code), before + 1);
    };
    check(&bytes(&report("edge-1", 5)), Code::Replayed);
    check(&bytes(&report("edge-1", 4)), Code::Replayed);
    check(b"{", Code::Malformed);
    check(br#"{"version": 2}"#, Code::Version);
    check(&vec![b' '; 800_000], Code::TooLarge);
    let mut wild = report("edge-1", 6);
    wild["health"]["spare"] = json!(7.0);
    check(&bytes(&wild), Code::Malformed);
    let view = fleet.control.node("edge-1").unwrap();
    assert_eq!(
        (view.sequence, fleet.control.counted().reports.load(std::sync::atomic::Ordering::Relaxed)),
        (Some(5), 1)
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_and_noted() {
    let fleet = Fleet::new().await;
    let shown = fleet.node("edge-1").await;
    let mut said = report("edge-1", 1);
    said["identity"]["clock_ms"] = json!(1_795_000_600_000_u64);
    let answer = fleet.control.report(Some(&shown), &bytes(&said)).unwrap();
    assert_eq!(answer.clock_off_ms, Some(600_000));
    let view = fleet.control.node("edge-1").unwrap();
    assert_eq!((view.clockwork, view.clock_off_ms), (Clockwork::Wrong, 600_000));
    fleet.control.report(Some(&shown), &bytes(&report("edge-1", 2))).unwrap();
    assert_eq!(fleet.control.node("edge-1").unwrap().clockwork, Clockwork::Right);
    let history = fleet.control.history("edge-1", 10).await.unwrap();
    let kinds: Vec<_> = history.iter().filter(|event| event.kind == "clock").collect();
    assert_eq!(kinds.len(), 2, "{history:?}");
}

#[tokio::test]
async fn who_is_silent_is_gone_and_comes_back() {
    let fleet = Fleet::new().await;
    let shown = fleet.node("edge-1").await;
    fleet.control.report(Some(&shown), &bytes(&report("edge-1", 1))).unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    fleet.control.look();
    assert_eq!(fleet.control.node("edge-1").unwrap().presence, Presence::Gone);
    let mut said = report("edge-1", 2);
    said["identity"]["up_ms"] = json!(5_000);
    fleet.control.report(Some(&shown), &bytes(&said)).unwrap();
    tokio::time::resume();
    assert_eq!(fleet.control.node("edge-1").unwrap().presence, Presence::Present);
    let history = fleet.control.history("edge-1", 10).await.unwrap();
    let mut kinds: Vec<_> = history.iter().map(|event| &*event.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["back", "gone", "joined"]);
}

#[tokio::test]
async fn the_fleet_outlives_its_process() {
    let mut fleet = Fleet::new().await;
    let shown = fleet.node("edge-1").await;
    let maintenance = Wanted { state: Desired::Maintenance, until_ms: Some(1_795_000_060_000) };
    fleet.control.want("edge-1", maintenance).await.unwrap();
    let labels = [("rack".to_owned(), Some("7".to_owned()))];
    fleet.control.label("edge-1", labels.into()).await.unwrap();
    fleet.control.set_keys(json!({"keys": [{"kty": "OKP", "kid": "a"}]})).await.unwrap();
    let before = fleet.control.report(Some(&shown), &bytes(&report("edge-1", 5))).unwrap();
    fleet.clock.advance_millis(1);
    fleet.restart().await;
    let view = fleet.control.node("edge-1").unwrap();
    assert_eq!((view.presence, view.sequence), (Presence::Present, Some(5)));
    assert_eq!((view.wanted, &*view.labels["rack"]), (Desired::Maintenance, "7"));
    assert_eq!(view.report.unwrap().health.spare, 0.5);
    let replayed = fleet.control.report(Some(&shown), &bytes(&report("edge-1", 5))).unwrap_err();
    assert_eq!(replayed.code, Code::Replayed);
    let after = fleet.control.report(Some(&shown), &bytes(&report("edge-1", 6))).unwrap();
    assert_eq!(after.down, before.down, "nothing is signed anew that has not changed");
    assert_eq!(after.down.len(), 3);
}

#[tokio::test]
async fn keys_are_public_or_refused() {
    let fleet = Fleet::new().await;
    let secret = json!({"keys": [{"kty": "OKP", "d": "secret"}]});
    assert_eq!(fleet.control.set_keys(secret).await.unwrap_err().code, Code::Malformed);
    assert!(fleet.control.numbers().iter().all(|(kind, _)| *kind != Kind::Keys));
    let first = fleet.control.set_keys(json!({"keys": [{"kid": "a"}]})).await.unwrap();
    assert_eq!(fleet.control.set_keys(json!({"keys": [{"kid": "a"}]})).await.unwrap(), first);
    assert!(fleet.control.set_keys(json!({"keys": [{"kid": "b"}]})).await.unwrap() > first);
}
