//! A network of one's own: loopback at the MTU of an Ethernet and without pacing, as root.

use std::{env, fs, os::unix::process::CommandExt, process::Command};

/// Marks the process that runs inside.
const INSIDE: &str = "WEIR_BENCH_NETWORK";

/// What the measurement runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Whether it is a namespace of its own.
    pub own: bool,
    /// MTU of the loopback device.
    pub mtu: String,
    /// Congestion control of new connections.
    pub congestion: String,
}

/// Runs this program again in a network namespace of its own, where that is possible, and
/// says what network there is. At the default MTU of 65536 loopback flatters QUIC and
/// large writes, and BBR's pacing adds its own cost.
pub fn enter() -> Network {
    if env::var_os(INSIDE).is_none() {
        let (program, arguments) = (env::current_exe(), env::args_os().skip(1));
        if let Ok(program) = program
            && Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|s| s.success())
        {
            // Returns only when it failed; then the run goes on where it is.
            let error = Command::new("unshare")
                .arg("-n")
                .arg(program)
                .args(arguments)
                .env(INSIDE, "1")
                .exec();
            eprintln!("no network of its own: {error}");
        }
        return look(false);
    }
    let up = Command::new("ip").args(["link", "set", "lo", "mtu", "1500", "up"]).status();
    if !up.is_ok_and(|status| status.success()) {
        eprintln!("cannot set the MTU of loopback (is iproute2 there?)");
    }
    let control = "/proc/sys/net/ipv4/tcp_congestion_control";
    // Not every container lets a namespace have cubic.
    if fs::write(control, "cubic").is_err() {
        drop(fs::write(control, "reno"));
    }
    look(true)
}

fn look(own: bool) -> Network {
    // sysfs shows the namespace that mounted it; `ip` asks the one it is in.
    let link = Command::new("ip").args(["-o", "link", "show", "lo"]).output();
    let link = link.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let mtu = link.unwrap_or_default().split(" mtu ").nth(1).unwrap_or("unknown").to_owned();
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
    Network {
        own,
        mtu: mtu.split(' ').next().unwrap_or_default().to_owned(),
        congestion: congestion.unwrap_or_default().trim().to_owned(),
    }
}
