//! A process of its own is told to end, once and twice.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    time::Duration,
};

use weir_config_lifecycle::{Drained, Shutdown, Signals};

/// Set in the child, which is this test binary again.
const CHILD: &str = "WEIR_TEST_SIGNALS_CHILD";

/// What the child does: holds a guard for ever and waits for the end.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let drained = runtime.block_on(async {
        let signals = Signals::listen().unwrap();
        let shutdown = Shutdown::new();
        let _guard = shutdown.guard();
        tokio::spawn(signals.drive(
            shutdown.clone(),
            || eprintln!("hangup"),
            || eprintln!("reopen"),
        ));
        eprintln!("listening");
        tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                shutdown.draining().await;
                eprintln!("draining");
            }
        });
        shutdown.drained(Duration::from_secs(60)).await
    });
    assert_eq!(drained, Drained::Cut(1));
    eprintln!("stopped");
}

#[test]
fn first_drains_second_stops() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut expect = |wanted: &str| {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "no {wanted:?}");
        }
    };
    let id = child.id().to_string();
    let send = |signal: &str| {
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    };
    expect("listening");
    send("-HUP");
    expect("hangup");
    send("-USR1");
    expect("reopen");
    send("-TERM");
    expect("draining");
    send("-INT");
    expect("stopped");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}
