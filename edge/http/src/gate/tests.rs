//! Who is let in and who is not, by addresses and seconds that the tests choose.

use super::*;

const NOW: Duration = Duration::from_secs(1000);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Wide open, but for what a test narrows.
fn wide() -> GateLimits {
    GateLimits {
        connections: 1_000_000,
        client: (32, 64),
        handshake: Duration::from_secs(10),
        pace: crate::pace::Pace::default(),
        per_client: 1_000_000,
        per_network: 1_000_000,
        rate: 1_000_000,
        rate_per_client: 1_000_000,
        rate_per_network: 1_000_000,
        quic_handshakes: 256,
        exempt: Vec::new(),
        forwarders: Vec::new(),
    }
}

/// How many of these in a row come in and stay, and why the next one does not.
fn come(gate: &Arc<Gate>, from: &[&str], at: Duration) -> (Vec<Pass>, Option<Refused>) {
    let mut passes = Vec::new();
    for peer in from {
        match gate.enter(ip(peer), at) {
            Ok(pass) => passes.push(pass),
            Err(why) => return (passes, Some(why)),
        }
    }
    (passes, None)
}

#[test]
fn what_is_open_is_counted_by_client_network_and_in_all() {
    let check = |limits: GateLimits, from: &[&str], expected: (usize, Option<Refused>)| {
        let gate = Gate::new(limits);
        let (passes, why) = come(&gate, from, NOW);
        assert_eq!((passes.len(), why), expected, "{from:?}");
        assert_eq!(gate.open(), passes.len());
        if let Some(why) = why {
            assert_eq!(gate.refused(why), 1);
        }
        drop(passes);
        // Who leaves leaves nothing behind, and neither does who was refused.
        assert_eq!((gate.open(), gate.clients.len(), gate.networks.len()), (0, 0, 0));
        let again = from.len().min(expected.0);
        assert_eq!(come(&gate, &from[..again], NOW + Duration::from_secs(60)).0.len(), again);
    };
    let two_each = || GateLimits { per_client: 2, ..wide() };
    check(two_each(), &["192.0.2.1"; 3], (2, Some(Refused::Client)));
    check(two_each(), &["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"], (4, None));
    // One /64 is one client, whatever it makes of its addresses.
    check(two_each(), &["2001:db8::1", "2001:db8::2", "2001:db8::3"], (2, Some(Refused::Client)));
    check(two_each(), &["2001:db8::1", "2001:db8::2", "2001:db8:0:1::3"], (3, None));
    // IPv4 that is written as IPv6 is IPv4.
    let mapped = ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"];
    check(two_each(), &mapped, (2, Some(Refused::Client)));
    let network = || GateLimits { per_network: 2, ..wide() };
    let near = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    check(network(), &near, (2, Some(Refused::Network)));
    check(network(), &["192.0.2.1", "192.0.2.2", "192.0.3.3"], (3, None));
    let near = ["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"];
    check(network(), &near, (2, Some(Refused::Network)));
    let all = GateLimits { connections: 2, ..wide() };
    check(all, &["192.0.2.1", "198.51.100.1", "203.0.113.1"], (2, Some(Refused::Connections)));
    let none = GateLimits { per_client: 0, ..wide() };
    check(none, &["192.0.2.1"], (0, Some(Refused::Client)));
}

#[test]
fn new_ones_in_a_second() {
    let check = |limits: GateLimits, peer: &str, at_once: usize, later: usize, why| {
        let gate = Gate::new(limits);
        let many = vec![peer; at_once + 1];
        assert_eq!((come(&gate, &many, NOW).0.len(), gate.refused(why)), (at_once, 1));
        // A second later there are as many as come in one.
        let (passes, refused) = come(&gate, &many, NOW + Duration::from_secs(1));
        assert_eq!((passes.len(), refused), (later, Some(why)));
        // A clock that goes back gives nothing.
        assert_eq!(come(&gate, &[peer], NOW).1, Some(why));
        // After a long while as many as at first, and no more.
        let day = NOW + Duration::from_secs(86_400);
        assert_eq!(come(&gate, &many, day).0.len(), at_once);
    };
    let ten = || GateLimits { rate_per_client: 10, ..wide() };
    check(ten(), "192.0.2.1", 40, 10, Refused::ClientRate);
    check(ten(), "2001:db8::1", 40, 10, Refused::ClientRate);
    let network = GateLimits { rate_per_network: 20, ..wide() };
    check(network, "192.0.2.1", 80, 20, Refused::NetworkRate);
    let all = GateLimits { rate: 15, ..wide() };
    check(all, "192.0.2.1", 30, 15, Refused::Rate);
}

#[test]
fn one_client_takes_nothing_from_the_others() {
    let gate = Gate::new(GateLimits { rate: 20, rate_per_client: 1, ..wide() });
    for _ in 0..1000 {
        let _ = gate.enter(ip("192.0.2.1"), NOW);
    }
    assert_eq!(gate.refused(Refused::ClientRate), 996);
    // It has used four of the forty that all have.
    for last in 0..36 {
        assert!(gate.enter(ip(&format!("198.51.100.{last}")), NOW).is_ok(), "{last}");
    }
    assert_eq!(gate.enter(ip("203.0.113.1"), NOW).err(), Some(Refused::Rate));
}

#[test]
fn who_is_exempt_counts_among_all_only() {
    let exempt = vec!["192.0.2.0/28".parse().unwrap()];
    let gate = Gate::new(GateLimits {
        exempt,
        per_client: 1,
        rate: 1,
        rate_per_client: 1,
        connections: 50,
        ..wide()
    });
    let (passes, why) = come(&gate, &["192.0.2.7"; 51], NOW);
    assert_eq!((passes.len(), why), (50, Some(Refused::Connections)));
    drop(passes);
    assert_eq!(come(&gate, &["192.0.2.16"; 2], NOW).1, Some(Refused::Client));
    // The host itself, unless somebody says otherwise.
    let usual = Gate::new(GateLimits { per_client: 0, ..GateLimits::default() });
    assert_eq!(come(&usual, &["127.0.0.9", "::1", "::ffff:127.0.0.1"], NOW).1, None);
    assert_eq!(come(&usual, &["192.0.2.1"], NOW).1, Some(Refused::Client));
}

/// A flood from ever new addresses neither grows the tables nor frees who is over its rate.
#[test]
fn memory_is_bounded_and_offenders_are_remembered() {
    let gate = Gate::new(GateLimits { rate: u32::MAX, rate_per_client: 10, ..wide() });
    for _ in 0..41 {
        let _ = gate.enter(ip("192.0.2.1"), NOW);
    }
    assert_eq!(gate.refused(Refused::ClientRate), 1);
    for address in 0..300_000_u32 {
        let peer = IpAddr::from((0x0a00_0000 + address).to_be_bytes());
        assert!(gate.enter(peer, NOW).is_ok());
    }
    assert_eq!(gate.enter(ip("192.0.2.1"), NOW).err(), Some(Refused::ClientRate));
    assert_eq!(gate.clients.len(), 0);
}

#[test]
fn limits_change_while_clients_are_in() {
    let gate = Gate::new(wide());
    let (passes, _) = come(&gate, &["192.0.2.1"; 5], NOW);
    gate.set(GateLimits { per_client: 3, ..wide() });
    assert_eq!(come(&gate, &["192.0.2.1"], NOW).1, Some(Refused::Client));
    drop(passes);
    assert_eq!(come(&gate, &["192.0.2.1"; 4], NOW).0.len(), 3);
}

#[test]
fn a_proxy_is_trusted_or_stays_outside_and_its_clients_are_clients() {
    let forwarders = vec!["198.51.100.0/24".parse().unwrap()];
    let gate = Gate::new(GateLimits { per_client: 1, connections: 3, forwarders, ..wide() });
    assert_eq!(gate.anteroom(ip("192.0.2.1")).err(), Some(Refused::NoForwarder));
    let places: Vec<_> = (0..3).map(|_| gate.anteroom(ip("198.51.100.9")).unwrap()).collect();
    assert_eq!(gate.anteroom(ip("198.51.100.9")).err(), Some(Refused::Connections));
    let first = gate.announced(ip("192.0.2.1"), NOW).unwrap();
    assert_eq!(gate.announced(ip("192.0.2.1"), NOW).err(), Some(Refused::Client));
    let _second = gate.announced(ip("192.0.2.2"), NOW).unwrap();
    // One place for the proxy's connection and the client behind it.
    assert_eq!((gate.open(), gate.refused(Refused::Client)), (3, 1));
    drop((first, places));
    assert_eq!(gate.open(), 0);
    assert!(gate.announced(ip("192.0.2.1"), NOW).is_ok());
}

#[test]
fn who_knocks_has_to_show_its_address_where_there_is_a_reason() {
    #[derive(Debug, PartialEq)]
    enum Seen {
        In,
        Prove,
        Out(Refused),
    }
    let gate = Gate::new(GateLimits { quic_handshakes: 2, per_client: 3, ..wide() });
    let mut inside = Vec::new();
    let mut check = |peer: &str, proved: bool, expected: Seen| {
        let seen = match gate.knock(ip(peer), proved, NOW) {
            Knock::In(pass, shaking) => {
                inside.push((pass, Some(shaking)));
                Seen::In
            }
            Knock::Prove => Seen::Prove,
            Knock::Out(why) => Seen::Out(why),
        };
        assert_eq!(seen, expected, "{peer} proved {proved}");
    };
    check("192.0.2.1", false, Seen::In);
    check("192.0.2.1", false, Seen::In);
    // Two are under way: nobody else gets in on its word alone.
    check("198.51.100.1", false, Seen::Prove);
    check("192.0.2.1", true, Seen::In);
    check("192.0.2.1", true, Seen::Out(Refused::Client));
    for last in 0..13 {
        check(&format!("203.0.113.{last}"), true, Seen::In);
    }
    check("203.0.113.99", true, Seen::Out(Refused::Handshakes));
    check("203.0.113.99", false, Seen::Prove);
    assert_eq!((gate.handshakes(), gate.open(), gate.retries()), (16, 16, 2));
    inside.iter_mut().for_each(|(_, shaking)| *shaking = None);
    assert_eq!((gate.handshakes(), gate.open()), (0, 16));
    // What somebody claims to be is not refused for what that one does; it shall show it.
    let seen = gate.knock(ip("192.0.2.1"), false, NOW);
    assert!(matches!(seen, Knock::Prove), "{seen:?}");
    assert_eq!(gate.refused(Refused::Client), 1);
}

#[test]
fn labels_follow_the_order_of_the_reasons() {
    for (at, why) in Refused::ALL.into_iter().enumerate() {
        assert_eq!(why as usize, at, "{}", why.as_str());
    }
}
