//! Every key of `steering.toml`: what the schema, `cachectl config` and docs/configuration.md are made
//! from.

use super::{Class, Key, Kind};

/// One of them, which are all used from the next start on.
const fn key(
    path: &'static str,
    kind: Kind,
    value: &'static str,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { path, kind, only: "", class: Class::Restart, value, default, about }
}

/// In the order of the document.
pub(super) const KEYS: &[Key] = &[
    key("steering.roles", Kind::List, "list of `\"fleet\"`", "all", "What this process does."),
    key(
        "listen.nodes",
        Kind::List,
        "addresses",
        "required",
        "TLS, on which nodes join, report and show their certificate.",
    ),
    key(
        "listen.names",
        Kind::List,
        "list of host names and IP addresses",
        "required",
        "What nodes reach it by; the server's certificate names them.",
    ),
    key(
        "admin.socket",
        Kind::Path,
        "path",
        "`\"/run/weir/steering.sock\"`",
        "Unix socket for `cachectl --socket`.",
    ),
    key(
        "admin.listen",
        Kind::Text,
        "address",
        "not served",
        "`/healthz`, `/readyz` and `/metrics`. Keep it on a loopback or management address.",
    ),
    key(
        "store.sqlite",
        Kind::Path,
        "path",
        "`state/steering.db`",
        "Database, made when missing; of one process.",
    ),
    key(
        "store.postgres_file",
        Kind::Path,
        "file",
        "none",
        "Holds `postgres://user:password@host/name`; then SQLite is not used.",
    ),
    key(
        "store.authority",
        Kind::Path,
        "path",
        "`state/authority`",
        "Folder of the keys that sign certificates and messages; made when missing. Back it up.",
    ),
    key(
        "fleet.certificate",
        Kind::Duration,
        "1h to 30d",
        "`\"7d\"`",
        "How long a node's certificate is good; nodes renew at two thirds.",
    ),
    key(
        "fleet.grace",
        Kind::Duration,
        "0s to 7d",
        "`\"24h\"`",
        "For how long tokens of running sessions may pass after their end while nodes hear nothing.",
    ),
    key(
        "fleet.report_every",
        Kind::Duration,
        "200ms to 1min",
        "`\"1s\"`",
        "Between two reports of a node, a fifth more or less.",
    ),
    key(
        "log.level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        "`\"error\"`, `\"warn\"`, `\"info\"`, `\"debug\"`, `\"trace\"`",
        "`\"info\"`",
        "For Weir's own crates.",
    ),
    key(
        "log.format",
        Kind::Choice(&["json", "text"]),
        "`\"json\"`, `\"text\"`",
        "`\"json\"`",
        "Of the process log on stderr.",
    ),
    key("log.access", Kind::Path, "path, `\"off\"`", "`\"off\"`", "Not written by this server."),
    key(
        "shutdown.deadline",
        Kind::Duration,
        "0s to 1d",
        "`\"30s\"`",
        "How long running requests may go on after SIGTERM.",
    ),
];
