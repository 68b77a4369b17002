//! Keys and tokens, from making a key to an edge's verdict.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::world::{Left, NOW, cachectl};
use expect_test::{Expect, expect};
use weir_edge_token::{Verifier, split_path};

/// A folder with a fresh pair of keys.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Self(folder);
        let made = keys.run(&["keys", "new", "--out", "DIR/keys", "--kid", "2026-11"]);
        assert_eq!(made.code, 0, "{made:?}");
        keys
    }

    /// `DIR` in the arguments is the folder, and in what is shown.
    fn run(&self, args: &[&str]) -> Left {
        let folder = self.0.path().to_str().expect("a plain path");
        let args: Vec<_> = args.iter().map(|arg| arg.replace("DIR", folder)).collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let left = cachectl(&args, None);
        Left {
            code: left.code,
            stdout: left.stdout.replace(folder, "DIR"),
            stderr: left.stderr.replace(folder, "DIR"),
        }
    }

    fn check(&self, args: &[&str], expected: &Expect) {
        expected.assert_eq(&self.run(args).shown());
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn mint(&self, url: &str, more: &[&str]) -> Left {
        let args = ["keys", "mint-url", url, "--key", "DIR/keys/signing.jwk", "--audience", "film"];
        self.run(&[&args, more].concat())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_new_pair() {
    let keys = Keys::new();
    assert_eq!(mode(&keys.path("keys/signing.jwk")), 0o600);
    assert_eq!(mode(&keys.path("keys/jwks.json")) & 0o133, 0);
    let public = fs::read_to_string(keys.path("keys/jwks.json")).unwrap();
    assert!(!public.contains("\"d\""), "{public}");
    let verifier = Verifier::new(&public).unwrap();
    assert_eq!(verifier.kids().collect::<Vec<_>>(), ["2026-11"]);
}

#[test]
fn nothing_is_overwritten() {
    let keys = Keys::new();
    let before = fs::read(keys.path("keys/signing.jwk")).unwrap();
    keys.check(
        &["keys", "new", "--out", "DIR/keys"],
        &expect![[r#"
        --- stderr
        error: DIR/keys/signing.jwk is there already
          why:  keys are never overwritten: every token of the old one would end
          next: give another --out, and put both public keys into one key set
        --- exit 7
    "#]],
    );
    assert_eq!(fs::read(keys.path("keys/signing.jwk")).unwrap(), before);
    // Only the public part is there: no private one is left beside it.
    fs::remove_file(keys.path("keys/signing.jwk")).unwrap();
    assert_eq!(keys.run(&["keys", "new", "--out", "DIR/keys"]).code, 7);
    assert!(!keys.path("keys/signing.jwk").exists());
}

#[test]
fn a_pair_by_file_name() {
    let keys = Keys::new();
    keys.check(&["keys", "new", "--out", "DIR/b/edge.jwk", "--json"], &expect![[r#"
        {"kid":"--6IM5l0OosLj9yWskISYhUA3n_3CURQkmrYMSha_ck","private":"DIR/b/edge.jwk","public":"DIR/b/edge.jwks.json","schema":"cachectl/v1"}
        --- exit 0
    "#]]);
    assert_eq!(mode(&keys.path("b/edge.jwk")), 0o600);
    keys.check(
        &["keys", "new", "--out", "DIR/c/", "--kid", "a b"],
        &expect![[r#"
        --- stderr
        error: this cannot be the --kid
          why:  a kid has 1 to 128 visible ASCII characters
        --- exit 2
    "#]],
    );
    assert!(!keys.path("c").exists());
}

#[test]
fn a_minted_url_opens_its_folder() {
    let keys = Keys::new();
    let left = keys.mint("https://cdn.example:8443/vod/sample/master.m3u8?a=b", &["--ttl", "4h"]);
    assert_eq!(left.code, 0);
    assert_eq!(left.stderr, "opens /vod/sample/ of \"film\" until 2027-01-15T12:00:00Z (for 4h)\n");
    let url = left.stdout.trim();
    let path = url.strip_prefix("https://cdn.example:8443").unwrap();
    let (token, rest) = split_path(path).unwrap();
    assert_eq!(rest, "/vod/sample/master.m3u8?a=b");
    let public = fs::read_to_string(keys.path("keys/jwks.json")).unwrap();
    let verifier = Verifier::new(&public).unwrap();
    verifier.verify(token, "film", rest, NOW).unwrap();
    verifier.verify(token, "film", "/vod/sample/1080/seg-1.m4s", NOW + 4 * 3600 - 1).unwrap();
    verifier.verify(token, "film", rest, NOW + 4 * 3600).unwrap_err();
    verifier.verify(token, "film", "/vod/other/a", NOW).unwrap_err();
}

#[test]
fn urls_that_cannot_be_minted() {
    let keys = Keys::new();
    let check = |url: &str, more: &[&str], expected: &Expect| {
        expected.assert_eq(&keys.mint(url, &[more, &["--ttl", "4h"]].concat()).shown());
    };
    check(
        "cdn.example/vod/a",
        &[],
        &expect![[r#"
        --- stderr
        error: "cdn.example/vod/a" is no URL
          why:  relative URL without a base
        --- exit 2
    "#]],
    );
    check(
        "https://h/t/abc/vod/a",
        &[],
        &expect![[r#"
        --- stderr
        error: the URL holds a token already
          next: give it without /t/<token>
        --- exit 2
    "#]],
    );
    check(
        "https://h/vod/a/b",
        &["--prefix", "/vod/x/"],
        &expect![[r#"
        --- stderr
        error: --prefix "/vod/x/" does not open "/vod/a/b"
          next: --prefix /vod/a/
        --- exit 2
    "#]],
    );
    check(
        "https://h/vod/a%2fb",
        &[],
        &expect![[r#"
        --- stderr
        error: no token opens the path "/vod/a%2fb"
          why:  it holds an encoded slash or a backslash
        --- exit 2
    "#]],
    );
    let public = ["keys", "mint-url", "https://h/a", "--key", "DIR/keys/jwks.json"];
    keys.check(
        &[&public[..], &["--audience", "f", "--ttl", "1h"]].concat(),
        &expect![[r#"
        --- stderr
        error: cannot use the key DIR/keys/jwks.json
          why:  this is no private key in JWK form: line 12, column 1 is not as expected
          next: make one: cachectl keys new --out DIR
        --- exit 1
    "#]],
    );
    let none = ["keys", "mint-url", "https://h/a", "--key", "DIR/none.jwk"];
    keys.check(
        &[&none[..], &["--audience", "f", "--ttl", "1h"]].concat(),
        &expect![[r#"
        --- stderr
        error: cannot read DIR/none.jwk
          why:  No such file or directory (os error 2)
        --- exit 3
    "#]],
    );
}

#[test]
fn a_key_that_others_may_read() {
    let keys = Keys::new();
    let key = keys.path("keys/signing.jwk");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let left = keys.mint("https://h/vod/a", &["--ttl", "1h"]);
    assert_eq!(left.code, 0);
    assert!(left.stderr.contains("warning: others may read DIR/keys/signing.jwk; run: chmod 600"));
}

#[test]
fn an_explained_token() {
    let keys = Keys::new();
    let url = "https://h/vod/sample/master.m3u8";
    let minted = keys.mint(url, &["--ttl", "4h", "--session", "s-1"]).stdout;
    let minted = minted.trim();
    let signature = minted.split('.').nth(2).unwrap().split('/').next().unwrap().to_owned();
    let explain = |more: &[&str]| {
        let left = keys.run(&[&["keys", "explain-token", minted], more].concat());
        assert!(!left.shown().contains(&signature), "{left:?}");
        left.shown()
    };
    let jwks = ["--jwks", "DIR/keys/jwks.json"];
    let all = [&jwks[..], &["--audience", "film"]].concat();
    expect![[r#"
        token     EdDSA, 2026-11, 232 bytes
        audience  film
        prefix    /vod/sample/
        expires   2027-01-15T12:00:00Z (in 4h)
        session   s-1
        checks
          form       ok  a compact JWT
          signature  ok  kid 2026-11, known: 2026-11
          audience   ok  for "film"
          time       ok  it is 2027-01-15T08:00:00Z
          path       ok  /vod/sample/master.m3u8 by the prefix /vod/sample/
        verdict   accepted
        --- exit 0
    "#]]
    .assert_eq(&explain(&all));
    expect![[r#"
        token     EdDSA, 2026-11, 232 bytes
        audience  film
        prefix    /vod/sample/
        expires   2027-01-15T12:00:00Z (in 4h)
        session   s-1
        checks
          form       ok        a compact JWT
          signature  not made  give the public keys with --jwks
          audience   not made  give the service's with --audience
          time       ok        it is 2027-01-15T08:00:00Z
          path       ok        /vod/sample/master.m3u8 by the prefix /vod/sample/
        verdict   unproven
        --- exit 0
    "#]]
    .assert_eq(&explain(&[]));
    expect![[r#"
        token     EdDSA, 2026-11, 232 bytes
        audience  film
        prefix    /vod/sample/
        expires   2027-01-15T12:00:00Z (in 4h)
        session   s-1
        checks
          form       ok     a compact JWT
          signature  ok     kid 2026-11, known: 2026-11
          audience   FAILS  the token is for another audience; for "film"
          time       ok     it is 2027-01-15T08:00:00Z
          path       FAILS  the token does not open this path; /vod/y by the prefix /vod/sample/
        verdict   refused
        --- exit 6
    "#]]
    .assert_eq(&explain(&[&jwks[..], &["--audience", "x", "--path", "/vod/y"]].concat()));
    expect![[r#"
        {"bytes":232,"checks":[{"check":"form","detail":"a compact JWT","ok":true},{"check":"signature","detail":"kid 2026-11, known: 2026-11","ok":true},{"check":"audience","detail":"for \"film\"","ok":true},{"check":"time","detail":"it is 2027-01-15T08:00:00Z","ok":true},{"check":"path","detail":"/vod/sample/master.m3u8 by the prefix /vod/sample/","ok":true}],"claims":{"aud":"film","exp":1800014400,"pfx":"/vod/sample/","sid":"s-1"},"header":{"alg":"EdDSA","kid":"2026-11","typ":"JWT"},"schema":"cachectl/v1","verdict":"accepted"}
        --- exit 0
    "#]].assert_eq(&explain(&[&all[..], &["--json"]].concat()));

    keys.check(
        &["keys", "explain-token", "https://h/vod/a"],
        &expect![[r#"
        --- stderr
        error: there is no token in this URL
          why:  it stands right after the host: https://host/t/<token>/…
        --- exit 3
    "#]],
    );
    keys.check(
        &["keys", "explain-token", "abc"],
        &expect![[r#"
        checks
          form  FAILS  the token is malformed; a compact JWT
        verdict   refused
        --- exit 6
    "#]],
    );
}
