//! The operator's route file: what is read, what is refused, what changes.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use crate::*;

const CHECKS: FileChecks<'_> = FileChecks {
    name: "operator",
    is_site: &|site| matches!(site, "lim-01" | "bog-02"),
    reserved: false,
};

fn read(text: impl AsRef<[u8]>) -> Result<RouteList, FileError> {
    RouteList::parse(text.as_ref(), &CHECKS)
}

fn refused(text: impl AsRef<[u8]>, expected: &Expect) {
    expected.assert_eq(&read(text).unwrap_err().to_string());
}

#[test]
fn every_bad_line_is_told_with_its_reason() {
    refused(
        "200.48.0.0/16 lim-01  # good\n\
         \n\
         200.48.0.0 lim-01\n\
         200.48.7.0/16 lim-01\n\
         200.48.0.0/40 lim-01\n\
         ::ffff:200.48.0.0/112 lim-01\n\
         200.49.0.0/16\n\
         200.49.0.0/16 preference=5\n\
         200.49.0.0/16 lima\n\
         200.49.0.0/16 lim-01 prefrence=5\n\
         200.49.0.0/16 lim-01 preference=70000\n\
         200.49.0.0/16 lim-01 at=nowhere\n\
         0.0.0.0/0 lim-01\n\
         127.0.0.0/8 lim-01\n\
         2001:db8::/32 lim-01\n\
         10.0.0.0/8 lim-01\n\
         200.48.0.0/16 lim-01 preference=100\n\
         200.48.0.0/16 bog-02\n",
        &expect![[r#"
            16 bad lines
              line 3: `200.48.0.0 lim-01`: it is no address with a length, as in 200.48.0.0/16 or 2800:200::/32
              line 4: `200.48.7.0/16 lim-01`: bits are set behind its length: 200.48.0.0/16 is meant, or a longer length
              line 5: `200.48.0.0/40 lim-01`: the length 40 is more than the 32 bits of its address
              line 6: `::ffff:200.48.0.0/112 lim-01`: it is IPv4 written as IPv6: write 200.48.0.0
              line 7: `200.49.0.0/16`: the site is missing: `PREFIX SITE [preference=N] [at=SITE]`
              line 8: `200.49.0.0/16 preference=5`: the site is missing: `PREFIX SITE [preference=N] [at=SITE]`
              line 9: `200.49.0.0/16 lima`: there is no site `lima`
              line 10: `200.49.0.0/16 lim-01 prefrence=5`: `prefrence=5` is neither `preference=N` (0 to 65535) nor `at=SITE`, or is there twice
              line 11: `200.49.0.0/16 lim-01 preference=70000`: `preference=70000` is neither `preference=N` (0 to 65535) nor `at=SITE`, or is there twice
              line 12: `200.49.0.0/16 lim-01 at=nowhere`: there is no site `nowhere`
              line 13: `0.0.0.0/0 lim-01`: it is wider than any network (/8, /16 for IPv6); the default order is for all others
              line 14: `127.0.0.0/8 lim-01`: these addresses are reserved and no client has them
              line 15: `2001:db8::/32 lim-01`: these addresses are reserved and no client has them
              line 16: `10.0.0.0/8 lim-01`: these addresses are private: say with `at=SITE` whose clients are meant
              line 17: `200.48.0.0/16 lim-01 preference=100`: it says the same as line 1
              line 18: `200.48.0.0/16 bog-02`: line 1 gives the same prefix to another site at the same preference: prefer one"#]],
    );
}

#[test]
fn bytes_that_are_no_text_are_told_too() {
    refused(
        b"200.48.0.0/16 \xff\xfe\n200.48.0.0/16 lim-01 \x1b[2J\n",
        &expect![[r#"
            2 bad lines
              line 1: `200.48.0.0/16 ��`: it is not UTF-8
              line 2: `200.48.0.0/16 lim-01 �[2J`: `[2J` is neither `preference=N` (0 to 65535) nor `at=SITE`, or is there twice"#]],
    );
    let long = format!("200.48.0.0/16 lim-01 {}", "x".repeat(2000));
    assert!(read(long).unwrap_err().to_string().contains("it is longer than 1000 bytes"));
}

#[test]
fn errors_are_bounded() {
    let FileError::Lines { lines, count } = read("bad\n".repeat(5_000)).unwrap_err() else {
        panic!("it is not long");
    };
    assert_eq!((lines.len(), count), (ERRORS_MAX, 5_000));
}

/// `count` prefixes of 24 bits from 64.0.0.0 on.
fn many(count: u32, site: impl Fn(u32) -> &'static str) -> String {
    let mut text = String::new();
    for at in 0..count {
        let address = std::net::Ipv4Addr::from_bits((64 << 24) + (at << 8));
        writeln!(text, "{address}/24 {}", site(at)).unwrap();
    }
    text
}

#[test]
fn a_million_prefixes_are_read_and_found() {
    let site = |at: u32| if at.is_multiple_of(3) { "lim-01" } else { "bog-02" };
    let list = read(many(1_000_000, site)).unwrap();
    assert_eq!(list.len(), 1_000_000);
    let routes = list.build().unwrap();
    assert_eq!(routes.len(), 1_000_000);
    for at in (0..1_000_000).step_by(997) {
        let network = (64 << 24) + (at << 8);
        let address = std::net::Ipv4Addr::from_bits(network + 77);
        let found = routes.find(None, address.into()).unwrap();
        let network = std::net::Ipv4Addr::from_bits(network);
        assert_eq!(found.prefix.to_string(), format!("{network}/24"));
        assert_eq!(routes.sites()[usize::from(found.offers[0].site)], site(at));
    }
    assert!(routes.find(None, "9.9.9.9".parse().unwrap()).is_none());
}

#[test]
fn nested_prefixes_and_several_sources() {
    let file = read("200.48.0.0/16 lim-01\n200.48.0.0/16 bog-02 preference=50\n").unwrap();
    let mut list = RouteList::default();
    let bgp = Source::Bgp("lim-01/rtr1".into());
    let prefix = |text| Prefix::parse(text).unwrap();
    list.push(prefix("200.48.8.0/24"), None, "bog-02", &bgp, (100, 10)).unwrap();
    list.push(prefix("200.48.0.0/16"), None, "bog-02", &bgp, (100, 10)).unwrap();
    list.append(&file).unwrap();
    let routes = list.build().unwrap();
    let offers = |address: &str| {
        let found = routes.find(None, address.parse().unwrap()).unwrap();
        let offer = |it: &Offer| {
            let site = &routes.sites()[usize::from(it.site)];
            format!("{site} by {}", routes.sources()[usize::from(it.source)])
        };
        let offers: Vec<String> = found.offers.iter().map(offer).collect();
        format!("{} {}", found.prefix, offers.join(", "))
    };
    assert_eq!(offers("200.48.8.1"), "200.48.8.0/24 bog-02 by BGP session lim-01/rtr1");
    // MED 0 of the file before 10, whoever was added first.
    let expected = "200.48.0.0/16 lim-01 by file operator, bog-02 by BGP session lim-01/rtr1, \
                    bog-02 by file operator";
    assert_eq!(offers("200.48.9.1"), expected);
    let why = list.push(prefix("0.0.0.0/0"), None, "bog-02", &bgp, (1, 1)).unwrap_err();
    assert!(why.to_string().starts_with("0.0.0.0/0 covers everything"));
}

#[test]
fn equal_routes_have_equal_digests() {
    let digest = |text: &str| read(text).unwrap().build().unwrap().digest();
    let one = digest("200.48.0.0/16 lim-01\n200.49.0.0/16 bog-02\n");
    assert_eq!(one, digest("200.49.0.0/16 bog-02\n200.48.0.0/16 lim-01 # again\n"));
    assert_ne!(one, digest("200.49.0.0/16 lim-01\n200.48.0.0/16 bog-02\n"));
    assert_ne!(one, digest("200.48.0.0/16 lim-01\n200.49.0.0/16 bog-02 preference=1\n"));
    assert_eq!(digest(""), Routes::default().digest());
}

#[test]
fn a_difference_is_told_prefix_by_prefix() {
    let before = read(
        "200.48.0.0/16 lim-01\n200.49.0.0/16 lim-01\n200.50.0.0/16 lim-01\n\
         10.0.0.0/8 lim-01 at=lim-01\n10.0.0.0/8 bog-02 at=bog-02\n",
    );
    let after = read(
        "200.48.0.0/16 lim-01\n200.49.0.0/16 bog-02\n200.51.0.0/16 lim-01\n\
         10.0.0.0/8 lim-01 at=lim-01\n200.48.0.0/16 bog-02 preference=1\n",
    );
    let diff = RouteDiff::of(&before.unwrap(), &after.unwrap());
    expect![[r#"
        1 added, 2 removed, 2 changed, 1 as before
          ~ 200.48.0.0/16 lim-01 -> lim-01, bog-02
          ~ 200.49.0.0/16 lim-01 -> bog-02
          - 200.50.0.0/16 lim-01
          + 200.51.0.0/16 lim-01
          - 10.0.0.0/8 at bog-02 bog-02
    "#]]
    .assert_eq(&diff.to_string());
}

#[test]
fn large_changes_have_to_be_confirmed() {
    let all = |site: &'static str| read(many(100, |_| site)).unwrap();
    let part = |from: u32| read(many(100 - from, |_| "lim-01")).unwrap();
    let judge = |before: &RouteList, after: &RouteList, confirm| {
        RouteDiff::of(before, after)
            .judge(Limits::default(), confirm)
            .map_or_else(|why| why.to_string(), |()| "taken".to_owned())
    };
    let had = all("lim-01");
    assert_eq!(judge(&had, &part(10), Confirm::No), "taken");
    let shrinks = "it takes 11 of 100 prefixes away, more than the limit of 10: confirm it";
    assert_eq!(judge(&had, &part(11), Confirm::No), shrinks);
    assert_eq!(judge(&had, &part(11), Confirm::Yes), "taken");
    let empty = "it has no routes, and 100 are in use: confirm if all shall go";
    assert_eq!(judge(&had, &RouteList::default(), Confirm::No), empty);
    let moves = "it moves 100 of 100 prefixes to others, more than the limit of 25: confirm it";
    assert_eq!(judge(&had, &all("bog-02"), Confirm::No), moves);
    assert_eq!(judge(&RouteList::default(), &had, Confirm::No), "taken");
}
