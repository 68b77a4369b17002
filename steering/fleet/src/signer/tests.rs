//! Keys that are made, kept, put away and put back.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;

fn open(folder: &Path) -> Result<LocalSigner, OpenError> {
    LocalSigner::open(folder, Box::new(SystemEntropy), 1_795_000_000)
}

fn csr() -> String {
    let asked = rcgen::CertificateParams::new(Vec::new()).unwrap();
    asked.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

#[test]
fn keys_are_made_once_and_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let first = open(&keys).unwrap();
    let second = open(&keys).unwrap();
    assert_eq!((first.authority(), first.keys()), (second.authority(), second.keys()));
    for (name, mode) in [("authority.key", 0o600), ("messages.key", 0o600)] {
        let found = fs::metadata(keys.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn keys_that_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, spoil: &dyn Fn(&Path), expected: &str| {
        let keys = folder.path().join(name);
        drop(open(&keys).unwrap());
        spoil(&keys);
        let error = open(&keys).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    };
    check("lost", &|keys| fs::remove_file(keys.join("authority.key")).unwrap(), "is missing");
    let widen = |keys: &Path| {
        let wide = fs::Permissions::from_mode(0o640);
        fs::set_permissions(keys.join("messages.key"), wide).unwrap();
    };
    check("open", &widen, "may be read by others (mode 640)");
    let swap = |keys: &Path| {
        let other = folder.path().join("other");
        drop(open(&other).unwrap());
        fs::copy(other.join("authority.pem"), keys.join("authority.pem")).unwrap();
    };
    check("swapped", &swap, "not the certificate of the key");
    let cut = |keys: &Path| fs::write(keys.join("messages.key"), "AAAA").unwrap();
    check("cut", &cut, "no Ed25519 key");
    let empty = |keys: &Path| fs::write(keys.join("authority.key"), "").unwrap();
    check("empty", &empty, "authority.key is of no use");
}

#[test]
fn a_backup_brings_the_same_authority_back() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, file) = (folder.path().join("keys"), folder.path().join("backup.json"));
    let before = open(&keys).unwrap();
    back_up(&keys, &file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(back_up(&keys, &file), Err(BackupError::File { .. })), "never over another");
    assert!(matches!(restore(&file, &keys), Err(BackupError::Occupied { .. })));
    let new = folder.path().join("new");
    restore(&file, &new).unwrap();
    let after = open(&new).unwrap();
    assert_eq!((before.authority(), before.keys()), (after.authority(), after.keys()));
    let text = fs::read_to_string(&file).unwrap();
    for (bad, expected) in [
        ("{}".to_owned(), "no backup of an authority"),
        (text.replace("\"weir_authority\": 1", "\"weir_authority\": 2"), "of shape 2"),
        (text.replace("BEGIN CERTIFICATE", "BEGIN NOTHING"), "of no use"),
        (text[..text.len() / 2].to_owned(), "no backup of an authority"),
    ] {
        fs::write(&file, bad).unwrap();
        let error = restore(&file, &folder.path().join("never")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(!folder.path().join("never").exists());
}

#[tokio::test]
async fn what_is_not_signed() {
    let folder = tempfile::tempdir().unwrap();
    let signer = open(folder.path()).unwrap();
    let check = async |subject: Subject, days: u64, expected: &str| {
        let from_s = 1_795_000_000;
        let issue = Issue { csr: csr(), subject, from_s, ends_s: from_s + days * 86_400 };
        let said = match signer.certify(&issue).await {
            Ok(issued) => issued.certificate,
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}");
    };
    let node = || Subject::Node("edge-1".into());
    check(node(), 7, "BEGIN CERTIFICATE").await;
    check(node(), 31, "BEGIN CERTIFICATE").await;
    check(node(), 32, "s of validity").await;
    check(node(), 0, "s of validity").await;
    check(Subject::Node("a/b".into()), 7, "no name of a node").await;
    check(Subject::Server(vec![]), 7, "names of a server").await;
    let names = vec!["steering.example".into(), "127.0.0.1".into(), "::1".into()];
    check(Subject::Server(names), 7, "BEGIN CERTIFICATE").await;
}
