//! `[log]`, `[shutdown]` and addresses.

use std::{net::SocketAddr, ops::Range, time::Duration};

use weir_config_units as units;

use super::{Level, Log, LogFormat, Shutdown};
use crate::{sheet::Finding, table::Table, value::Value};

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

pub(crate) fn log(root: &Table<'_>) -> Option<Log> {
    log_with(root, |_| ()).0
}

/// The same, and what one server alone reads of the table.
pub(crate) fn log_with<T>(
    root: &Table<'_>,
    more: impl FnOnce(&Table<'_>) -> T,
) -> (Option<Log>, T) {
    let table = root.table("log");
    let level = table.or("level", "\"info\"", Level::Info, |v| v.choice(&LEVELS));
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let format = table.or("format", "\"json\"", LogFormat::Json, |v| v.choice(&formats));
    let access = table.or("access", "\"log/access.jsonl\"", None, |v| match v.some_text()? {
        "off" => Some(None),
        _ => v.written().map(Some),
    });
    let more = more(&table);
    table.finish();
    let log = level.zip(format).zip(access);
    (log.map(|((level, format), access)| Log { level, format, access }), more)
}

pub(crate) fn shutdown(root: &Table<'_>) -> Option<Shutdown> {
    let table = root.table("shutdown");
    let default = Duration::from_secs(30);
    let deadline =
        table.or("deadline", "\"30s\"", default, |v| duration(v, Duration::ZERO, days(1)));
    table.finish();
    Some(Shutdown { deadline: deadline? })
}

/// A duration from `least` to `most`.
pub(crate) fn duration(value: &Value<'_>, least: Duration, most: Duration) -> Option<Duration> {
    let bound = units::Duration::saturating_from;
    value.quantity(bound(least), bound(most)).map(units::Duration::as_std)
}

pub(crate) const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// A socket address that the file names, kept with its place until all of them are known.
pub(crate) struct Address {
    pub(crate) address: SocketAddr,
    path: String,
    span: Range<usize>,
}

pub(crate) fn address(value: &Value<'_>) -> Option<Address> {
    Some(Address { address: value.address()?, path: value.path.clone(), span: value.span.clone() })
}

pub(crate) fn addresses(value: &Value<'_>) -> Option<Vec<Address>> {
    value.list(address)
}

/// Notes each address that cannot be bound because of one before it. All of them are TCP.
pub(crate) fn no_clash<'a>(root: &Table<'_>, addresses: impl Iterator<Item = &'a Address>) {
    let addresses: Vec<_> = addresses.collect();
    for (at, later) in addresses.iter().enumerate() {
        let clash = |earlier: &&&Address| clashes(earlier.address, later.address);
        if let Some(earlier) = addresses[..at].iter().find(clash) {
            let finding = Finding::new(format!(
                "`{}` and `{}` cannot both be bound: {} and {}",
                earlier.path, later.path, earlier.address, later.address
            ));
            let there = root.sheet.line_seen_from(earlier.span.start, later.span.start);
            let finding = finding.help(format!("{there} has it already"));
            root.sheet.found(Some(later.span.clone()), &later.path, finding);
        }
    }
}

/// IPv4 and IPv6 are bound apart, also where both are unspecified.
fn clashes(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (any || one.ip() == other.ip())
}

#[cfg(test)]
mod tests {
    use super::clashes;

    #[test]
    fn addresses_clash() {
        let check = |one: &str, other: &str, expected| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(clashes(one, other), expected, "{one} {other}");
            assert_eq!(clashes(other, one), expected, "{other} {one}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "0.0.0.0:80", true);
        check("[::1]:80", "[::]:80", true);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("0.0.0.0:80", "[::]:80", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
    }
}
