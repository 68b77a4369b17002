//! Who holds a port: read from /proc, as far as this user may look.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

/// `process 123 (nginx)`, when it can be seen.
pub(super) fn of(address: SocketAddr, udp: bool) -> Option<String> {
    let table = match (udp, address.is_ipv6()) {
        (false, false) => "/proc/net/tcp",
        (false, true) => "/proc/net/tcp6",
        (true, false) => "/proc/net/udp",
        (true, true) => "/proc/net/udp6",
    };
    let text = fs::read_to_string(table).ok()?;
    let inode = text.lines().skip(1).find_map(|line| inode(line, address, udp))?;
    let pid = process_with(&format!("socket:[{inode}]"))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", name.trim()))
}

/// The inode of a line of /proc/net/* that serves `address` or all addresses, proc(5).
fn inode(line: &str, address: SocketAddr, udp: bool) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let (ip, port) = fields.nth(1)?.split_once(':')?;
    let state = fields.nth(1)?;
    // 0A is LISTEN; sockets of UDP that are not connected say 07.
    let serves = state == if udp { "07" } else { "0A" };
    let port = u16::from_str_radix(port, 16).ok()?;
    let any = ip.bytes().all(|b| b == b'0');
    if serves && port == address.port() && (any || ip == hex(address.ip())) {
        fields.nth(5)
    } else {
        None
    }
}

/// Each group of four bytes as one number of this machine's order.
fn hex(ip: IpAddr) -> String {
    let bytes: Vec<u8> = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let groups = bytes.chunks_exact(4);
    groups.map(|g| format!("{:08X}", u32::from_ne_bytes([g[0], g[1], g[2], g[3]]))).collect()
}

fn process_with(link: &str) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut open = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        let holds = open.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link));
        holds.then_some(pid)
    })
}
