//! Databases made by somebody else's writer (`data/make.py`), whole and damaged.
#![expect(clippy::unwrap_used, reason = "a test fails where its own fixtures do")]

use std::{fs, path::PathBuf};

use weir_steering_geo::{Geo, GeoError, Kind, Located, Precision, Watched};
use weir_steering_rank::{Country, Place};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

fn geo(places: &str, networks: &str) -> Geo {
    let geo = Geo::default();
    for (kind, name) in [(Kind::Places, places), (Kind::Networks, networks)] {
        if !name.is_empty() {
            geo.load_file(kind, &path(name)).unwrap();
        }
    }
    geo
}

#[track_caller]
fn check(geo: &Geo, address: &str, asn: u32, country: &str, place: Option<(f64, f64)>) {
    let place = place.map(|(latitude, longitude)| Place::degrees(latitude, longitude).unwrap());
    let country = Country::parse(country);
    let precision = match (place, country) {
        (Some(_), _) => Precision::Place,
        (None, Some(_)) => Precision::Country,
        _ => Precision::None,
    };
    let expected = Located { asn: (asn > 0).then_some(asn), country, place, precision };
    assert_eq!(geo.locate(address.parse().unwrap()), expected, "{address}");
}

#[test]
fn maxmind_s_own() {
    let geo = geo("city.mmdb", "asn.mmdb");
    let lima = Some((-12.0464, -77.0428));
    check(&geo, "200.48.1.9", 6147, "PE", lima);
    check(&geo, "2800:200::9", 6147, "PE", lima);
    check(&geo, "::ffff:200.48.1.9", 6147, "PE", lima);
    // The middle of a country, the null island, and what is not on Earth are no places.
    check(&geo, "200.49.1.9", 0, "PE", None);
    check(&geo, "200.50.1.9", 0, "PE", None);
    check(&geo, "200.51.1.9", 0, "CO", None);
    check(&geo, "200.52.1.9", 0, "CO", None);
    check(&geo, "9.9.9.9", 0, "", None);
    check(&geo, "127.0.0.1", 0, "", None);
    assert_eq!(geo.failed(), 0);
}

#[test]
fn countries_alone_and_flat_ones() {
    let country = geo("country.mmdb", "");
    check(&country, "200.48.1.9", 0, "PE", None);
    let flat = geo("flat.mmdb", "flat.mmdb");
    check(&flat, "200.48.1.9", 6147, "PE", None);
    check(&flat, "200.49.1.9", 0, "CO", Some((4.71, -74.07)));
    check(&flat, "2800:200::1", 6147, "PE", None);
    check(&Geo::default(), "200.48.1.9", 0, "", None);
}

#[test]
fn a_summary_says_what_is_in_it() {
    let geo = geo("city.mmdb", "");
    let said = geo.summary(Kind::Places).unwrap().to_string();
    let expected =
        "GeoLite2-City: 6 networks, 5 records (5 with a country, 1 with a place, 0 with a network)";
    assert_eq!(said, expected);
    assert_eq!(geo.summary(Kind::Networks), None);
}

#[test]
fn a_bad_database_is_refused_and_the_good_one_stays() {
    let geo = geo("city.mmdb", "asn.mmdb");
    let city = bytes("city.mmdb");
    let refused = |kind: Kind, bytes: Vec<u8>, expected: &str| {
        let why = geo.load(kind, bytes).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
        check(&geo, "200.48.1.9", 6147, "PE", Some((-12.0464, -77.0428)));
    };
    refused(Kind::Places, Vec::new(), "it is empty");
    refused(Kind::Places, b"PK\x03\x04 not a database".to_vec(), "it is no MaxMind database");
    refused(Kind::Places, city[..city.len() / 2].to_vec(), "it is no MaxMind database");
    refused(Kind::Places, city[..city.len() - 1].to_vec(), "it is no MaxMind database");
    let other = "its type is `GeoLite2-ASN`, and none of its 2 networks has a country or a place";
    refused(Kind::Places, bytes("asn.mmdb"), other);
    refused(Kind::Networks, city, "has a network's number");
    refused(Kind::Places, bytes("strange.mmdb"), "its type is `Something-Else`");
    refused(Kind::Networks, bytes("strange.mmdb"), "its type is `Something-Else`");
}

#[test]
fn no_damage_panics() {
    let (city, addresses) = (bytes("city.mmdb"), ["200.48.1.9", "2800:200::9", "9.9.9.9"]);
    let mut refused = 0;
    for at in 0..city.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = city.clone();
            damaged[at] ^= flip;
            let geo = Geo::default();
            refused += usize::from(geo.load(Kind::Places, damaged).is_err());
            for address in addresses {
                geo.locate(address.parse().unwrap());
            }
        }
        let cut = Geo::default().load(Kind::Places, city[..at].to_vec());
        assert!(cut.is_err(), "cut to {at} bytes");
    }
    assert!(refused > city.len() / 2, "{refused}");
}

#[test]
fn a_file_is_read_again_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("places.mmdb");
    let geo = Geo::default();
    let mut watched = Watched::new(Kind::Places, file.clone());
    assert!(matches!(watched.poll(&geo), Some(Err(GeoError::File { .. }))));
    assert!(watched.poll(&geo).is_none());
    fs::write(&file, bytes("country.mmdb")).unwrap();
    assert_eq!(watched.poll(&geo).unwrap().unwrap().kind, "GeoLite2-Country");
    assert!(watched.poll(&geo).is_none());
    // Written in place and not done yet: the good one stays.
    fs::write(&file, &bytes("city.mmdb")[..700]).unwrap();
    assert!(watched.poll(&geo).unwrap().is_err());
    check(&geo, "200.48.1.9", 0, "PE", None);
    fs::write(&file, bytes("city.mmdb")).unwrap();
    assert_eq!(watched.poll(&geo).unwrap().unwrap().kind, "GeoLite2-City");
    fs::remove_file(&file).unwrap();
    assert!(watched.poll(&geo).unwrap().is_err());
    check(&geo, "200.48.1.9", 0, "PE", Some((-12.0464, -77.0428)));
}
