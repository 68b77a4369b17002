//! One suite for both databases: what the control plane relies on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;
mod postgres;

use weir_steering_store::{Backend, Store, StoreError};

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    for (name, case) in cases::ALL {
        println!("{name}");
        case(Backend::Sqlite(folder.path().join(format!("{name}.db")))).await;
    }
}

/// Debian's server, started by this test in a folder of its own. Where it is not installed the test
/// says so and shows nothing.
#[tokio::test]
async fn postgresql() {
    let Some(server) = postgres::Server::start() else {
        println!("skipped: there is no PostgreSQL; `cargo xtask apt` installs it");
        return;
    };
    for (name, case) in cases::ALL {
        println!("{name}");
        case(Backend::Postgres(server.database(name))).await;
    }
}

#[tokio::test]
async fn what_cannot_be_opened() {
    let check = |backend: Backend, expected: &'static str| async move {
        let error = Store::open(&backend).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("no/folder/here.db");
    check(Backend::Sqlite(absent), "cannot be opened").await;
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, vec![b'x'; 8192]).unwrap();
    check(Backend::Sqlite(garbage.clone()), "cannot be opened").await;
    assert_eq!(std::fs::read(&garbage).unwrap(), vec![b'x'; 8192], "it was left alone");
    check(Backend::Postgres("mysql://nowhere".into()), "no `postgres://…`").await;
    let nobody = "postgres://weir:secret@127.0.0.1:1/weir".to_owned();
    let error = Store::open(&Backend::Postgres(nobody.clone())).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(!format!("{error:?} {:?}", Backend::Postgres(nobody)).contains("secret"));
}
