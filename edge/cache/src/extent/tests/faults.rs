//! Each call of a medium that fails or does not return, by itself.

use super::*;

/// Whatever a disk refuses, and with whichever error: what is not written is a miss, nothing
/// waits for ever, and the next store over the same files has what was there before.
#[tokio::test]
async fn each_call_may_be_refused() {
    let calls = [Call::Write, Call::Log, Call::Begin, Call::Prepare, Call::Commit, Call::Read];
    for call in calls {
        for error in [libc::ENOSPC, libc::EIO, libc::EROFS] {
            let what = format!("{call:?} {error}");
            let directory = TempDir::new().unwrap();
            let (store, faults) = failing(directory.path());
            put(&store, 0..6).await;
            *faults.only.lock() = Some(call);
            faults.set(0, i64::MAX, error);
            put(&store, 6..9).await;
            store.remove(&key(5));
            store.pin(&key(0).object, 1, 0..3);
            put(&store, 9..12).await;
            for index in 0..12 {
                let found = holds(&store, index).await;
                let lost = matches!(call, Call::Write | Call::Read);
                assert_eq!(found, !lost && index != 5, "{what}: {index}");
                if lost && store.health().online && call == Call::Write {
                    assert!(index >= 6, "{what}: {index} lay there before");
                }
            }
            store.flush().await;
            // What makes a manifest fails here at the latest.
            store.close().await;
            drop(store);
            let store = ExtentStore::open(config(directory.path())).unwrap();
            for index in 0..12 {
                let found = holds(&store, index).await;
                match call {
                    Call::Read => {}
                    _ => assert!(found || index >= 5, "{what}: {index} after a restart"),
                }
            }
            assert_eq!(store.health().errors, 0, "{what}");
            put(&store, 20..23).await;
            assert!(holds(&store, 20).await, "{what}");
        }
    }
}

/// A log that cannot be appended to, on a file system that is full for a while, is written
/// anew: nothing is forgotten for that.
#[tokio::test]
async fn a_log_that_had_no_room_is_made_up_for() {
    let directory = TempDir::new().unwrap();
    let (store, faults) = failing(directory.path());
    put(&store, 0..3).await;
    *faults.only.lock() = Some(Call::Log);
    faults.set(0, 2, libc::ENOSPC);
    put(&store, 3..9).await;
    store.remove(&key(1));
    store.flush().await;
    assert!(store.health().online);
    // As after a kill: nothing is put in order.
    std::mem::forget(store);
    let copy = TempDir::new().unwrap();
    for name in ["weir-extent", "data", "manifest"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let store = ExtentStore::open(config(copy.path())).unwrap();
    for index in 0..9 {
        assert_eq!(holds(&store, index).await, index != 1, "{index}");
    }
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

/// Writes that do not return: offers are answered at once, reads go on, and nothing that was
/// taken is lost when the disk thinks better of it.
#[tokio::test]
async fn a_disk_that_does_not_write_keeps_nobody() {
    let directory = TempDir::new().unwrap();
    let (store, faults) = failing(directory.path());
    put(&store, 0..6).await;
    faults.stick(Some(Call::Write));
    let mut taken = Vec::new();
    let mut refused = 0;
    for index in 6..60 {
        match store.offer(key(index), chunk(index)) {
            Admission::Accepted => taken.push(index),
            Admission::Busy => refused += 1,
            Admission::Unavailable => panic!("it is slow, and not gone"),
        }
    }
    assert!(refused > 0 && !taken.is_empty(), "{refused} refused");
    let waiting = faults.clone();
    until(move || waiting.waiting.load(Ordering::SeqCst) > 0).await;
    for index in (0..6).chain(taken.iter().copied()) {
        assert!(holds(&store, index).await, "{index}");
    }
    store.remove(&key(0));
    assert!(!holds(&store, 0).await);
    let stats = store.stats();
    assert_eq!((stats.lost_chunks, stats.io_errors, stats.online), (0, 0, true));
    faults.stick(None);
    store.flush().await;
    for index in taken {
        assert!(holds(&store, index).await, "{index}");
    }
    assert!(!holds(&store, 0).await);
    store.close().await;
}

/// Reads that do not return: others wait no longer than they want to, writes go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_read_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let (store, faults) = failing(directory.path());
    let store = Arc::new(store);
    put(&store, 0..12).await;
    faults.stick(Some(Call::Read));
    let read = |index| {
        let store = store.clone();
        tokio::spawn(async move { holds(&store, index).await })
    };
    let readers: Vec<_> = (0..12).map(read).collect();
    let waiting = faults.clone();
    until(move || waiting.waiting.load(Ordering::SeqCst) == READERS as u64).await;
    // Some leave; what was never begun is spared.
    for reader in &readers[6..] {
        reader.abort();
    }
    put(&store, 12..15).await;
    assert!(store.contains(&key(12)) && store.health().online);
    faults.stick(None);
    for reader in readers.into_iter().take(6) {
        assert!(reader.await.unwrap());
    }
    assert!(holds(&store, 13).await);
}
