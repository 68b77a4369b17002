//! Reports as they may come.

use serde_json::json;

use super::*;

fn report(boot: u64, sequence: u64, up_ms: u64) -> Report {
    serde_json::from_value(json!({
        "version": 1,
        "identity": {
            "node": "edge-1", "site": "lim-01", "boot": boot, "sequence": sequence,
            "up_ms": up_ms, "clock_ms": 1_000_000 + up_ms, "build": "0.1.0", "config": 1,
            "purge_epoch": 0, "serves": [],
        },
        "capacity": {
            "network_bytes_per_s": 0.0, "processors": 2, "memory_bytes": 1, "requests": 1,
            "disks": 0, "disks_in_use": 0,
        },
        "health": {"spare": 1.0, "scarcest": "lag", "used": {}, "ready": true},
        "serving": {
            "requests_per_s": 0.0, "bytes_per_s": 0.0, "hit_share": null, "error_share": null,
            "ttfb_p99_ms": null, "requests": 0, "clients": 0,
        },
        "fill": {"bytes_per_s": 0.0, "running": 0, "waiting": 0},
        "intent": {"state": "serving"},
        "applied": {},
    }))
    .unwrap()
}

fn at(ms: u64) -> Moment {
    Moment { steady: Duration::from_millis(ms), unix_ms: 1_000_000 + ms }
}

/// A member that has reported each second from 0 to `last`, as process 7.
fn reporting(last: u64) -> Member {
    let mut member = Member::default();
    for second in 0..=last {
        member.take(&report(7, second + 1, second * 1_000), at(second * 1_000)).unwrap();
    }
    member
}

#[test]
fn what_was_here_before_is_refused() {
    let check = |boot, sequence, expected: Result<bool, Refusal>| {
        let mut member = reporting(3);
        member.take(&report(8, 1, 0), at(4_000)).unwrap();
        member.take(&report(8, 2, 1_000), at(5_000)).unwrap();
        let before = member.position();
        let taken = member.take(&report(boot, sequence, 2_000), at(6_000));
        assert_eq!(taken, expected, "{boot} {sequence}");
        let after = if expected.is_ok() { Some((boot, sequence)) } else { before };
        assert_eq!(member.position(), after);
    };
    check(8, 3, Ok(false));
    check(8, 30, Ok(false));
    check(8, 2, Err(Refusal::Replayed { had: 2, got: 2 }));
    check(8, 1, Err(Refusal::Replayed { had: 2, got: 1 }));
    check(7, 5, Err(Refusal::Replaced));
    check(7, 1, Err(Refusal::Replaced));
    check(9, 1, Ok(false));
}

#[test]
fn what_comes_late_is_of_the_past() {
    let mut member = reporting(3);
    // The fourth second's report comes half a minute later, and the one behind it at once.
    let stale = member.take(&report(7, 5, 4_000), at(34_000));
    assert_eq!(stale, Err(Refusal::Stale { late_ms: 30_000 }));
    let stale = member.take(&report(7, 6, 5_000), at(34_010));
    assert_eq!(stale, Err(Refusal::Stale { late_ms: 29_010 }));
    // One of now is believed.
    assert_eq!(member.take(&report(7, 35, 34_020), at(34_020)), Ok(false));
}

#[test]
fn a_host_that_slept_is_believed_again() {
    let mut member = reporting(3);
    for (second, expected) in [(4, false), (5, false), (6, true), (7, true)] {
        let taken =
            member.take(&report(7, second + 1, second * 1_000), at(second * 1_000 + 600_000));
        assert_eq!(taken.is_ok(), expected, "{second}: {taken:?}");
    }
}

#[test]
fn clocks() {
    let check = |off: i64, expected| {
        let mut member = Member::default();
        let mut said = report(7, 1, 0);
        said.identity.clock_ms = 1_000_000_u64.saturating_add_signed(off);
        member.take(&said, at(0)).unwrap();
        assert_eq!(member.clockwork(), expected, "{off}");
    };
    check(0, Clockwork::Right);
    check(-2_000, Clockwork::Right);
    check(2_001, Clockwork::Off);
    check(30_001, Clockwork::Wrong);
    check(-600_000, Clockwork::Wrong);
    check(i64::MAX, Clockwork::Wrong);
}

#[test]
fn silence() {
    let mut member = reporting(3);
    let check = |member: &mut Member, ms, expected, left| {
        let now = Duration::from_millis(ms);
        assert_eq!(member.presence(now), expected, "{ms}");
        assert_eq!(member.look(now).is_some(), left, "{ms}");
    };
    assert_eq!(Member::default().presence(Duration::from_secs(9)), Presence::Unheard);
    check(&mut member, 6_499, Presence::Present, false);
    check(&mut member, 6_500, Presence::Late, false);
    check(&mut member, 8_000, Presence::Gone, true);
    // Told once.
    check(&mut member, 9_000, Presence::Gone, false);
    assert_eq!(member.take(&report(7, 5, 10_000), at(10_000)), Ok(true));
    assert_eq!(member.take(&report(7, 6, 11_000), at(11_000)), Ok(false));
}

#[test]
fn who_comes_and_goes_flaps() {
    let mut member = reporting(0);
    for round in 1..=3 {
        let now = round * 60_000;
        assert!(!member.flaps(Duration::from_millis(now)), "{round}");
        member.look(Duration::from_millis(now));
        member.take(&report(7, round + 1, now), at(now)).unwrap();
    }
    assert!(member.flaps(Duration::from_secs(181)));
    assert!(member.flaps(Duration::from_secs(659)));
    assert!(!member.flaps(Duration::from_secs(661)));
}

#[test]
fn nobody_reports_all_the_time() {
    let mut member = reporting(0);
    let mut taken = 0;
    for n in 0..1_000 {
        taken += u64::from(member.take(&report(7, 2 + n, n), at(n)).is_ok());
    }
    assert!((9..=14).contains(&taken), "{taken}");
    assert_eq!(member.take(&report(7, 5_000, 2_000), at(2_000)), Ok(false));
}

#[test]
fn the_control_plane_was_away() {
    let now = at(50_000);
    let mut member = Member::known(7, 40, 900, None, now);
    assert_eq!(member.presence(now.steady), Presence::Present);
    let replayed = member.take(&report(7, 40, 1_000), now);
    assert_eq!(replayed, Err(Refusal::Replayed { had: 40, got: 40 }));
    assert_eq!(member.take(&report(7, 41, 1_000), now), Ok(false));
}
