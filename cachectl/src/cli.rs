//! Commands and their arguments.

mod objects;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use weir_config_units::Duration;

pub(crate) use self::objects::{Get, Ls, Order, PinArgs, Rate, Scrub, Selection};

/// Asks and commands a Weir server.
#[derive(Debug, Parser)]
#[command(
    name = "cachectl",
    version,
    term_width = 100,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 partial, 5 unhealthy, \
                  6 refused, 7 conflict, 75 try again later, \
                  130 interrupted.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Print JSON ("schema": "cachectl/v1") instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The server's admin socket [default: $WEIR_ADMIN_SOCKET, then /run/weir/admin.sock].
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One verdict, its reasons, and what to do about them.
    Status,
    /// One self test of the node as it is: upstreams, certificates, ports, disks, and its host.
    Doctor,
    /// What the cache holds, and why.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// The disks of the cache, each a failure domain of its own.
    #[command(subcommand)]
    Disks(DisksCommand),
    /// The nodes of a control plane.
    #[command(subcommand)]
    Nodes(crate::fleet::NodesCommand),
    /// Let nodes into the fleet of a control plane.
    #[command(subcommand)]
    Enroll(crate::fleet::EnrollCommand),
    /// What a server was told, and telling it anew.
    #[command(subcommand)]
    Config(crate::config::ConfigCommand),
    /// Signing keys and playback tokens.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Requests as the access log tells them.
    #[command(subcommand)]
    Logs(crate::logs::LogsCommand),
    /// Traffic, hits, disks, origins, hottest objects and slow requests, as they are just now.
    Top(crate::top::Top),
    /// One request, phase by phase: a finished one by its id, or one made for it.
    Trace(crate::trace::TraceArgs),
    /// What the server counts: the series of /metrics, in units that people read.
    Metrics {
        /// Only those whose name, or a label as `name="value"`, contains this.
        grep: Option<String>,
    },
    /// A shell's script that completes commands and options.
    Completion {
        /// Whose.
        shell: Shell,
    },
    /// Manual pages, in roff: the main one to stdout, or one of each command to a folder.
    Man {
        /// The folder, made where it is missing.
        folder: Option<PathBuf>,
    },
    /// The version of this program.
    Version,
}

/// The shells whose completion can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// source <(cachectl completion bash)
    Bash,
    /// cachectl completion zsh > _cachectl, in a folder of $fpath
    Zsh,
    /// cachectl completion fish > ~/.config/fish/completions/cachectl.fish
    Fish,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Fill levels, hits and misses.
    Stats,
    /// Key, place, age and the reason for hit or miss of one URL.
    Explain(crate::cache::ExplainUrl),
    /// Fetch ahead of demand: URLs, or all that a playlist lists.
    Warm(crate::warm::Warm),
    /// Remove from the cache, or make stale.
    #[command(subcommand)]
    Purge(PurgeCommand),
    /// What the cache holds, object by object.
    Ls(Ls),
    /// The stored bytes of an object, checked.
    Get(Get),
    /// Keep objects on disk, whatever is asked for, through restarts and new versions.
    Pin(PinArgs),
    /// Let pinned objects be evicted again.
    Unpin(Selection),
    /// Read disks back and check every chunk; what does not hold is dropped.
    Verify(Scrub),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PurgeCommand {
    /// The object of one URL, and every variant of it.
    Url {
        /// As a client asks for it, with or without its token.
        url: String,
        #[command(flatten)]
        flags: PurgeFlags,
    },
    /// Every object whose URL begins so.
    Prefix {
        /// The beginning of a URL, with scheme and host.
        #[arg(value_name = "URL")]
        prefix: String,
        #[command(flatten)]
        flags: PurgeFlags,
    },
    /// Every object that an upstream tagged so (Surrogate-Key, Cache-Tag).
    Tag {
        /// One tag; upper and lower case are the same.
        tag: String,
        #[command(flatten)]
        flags: PurgeFlags,
    },
    /// Every object of a service.
    Service {
        /// Its id in the server's configuration.
        id: String,
        #[command(flatten)]
        flags: PurgeFlags,
    },
    /// Everything.
    All {
        #[command(flatten)]
        flags: PurgeFlags,
    },
    /// Purges that stand, and how far their space is reclaimed.
    Ls,
}

#[derive(Debug, Args)]
pub(crate) struct PurgeFlags {
    /// Keep it, but ask the upstream whether it still holds.
    #[arg(long)]
    pub(crate) soft: bool,
    /// Only tell what would go.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Come back when the space is reclaimed; the purge holds before.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The number of objects, for a purge of more than a tenth of all bytes.
    #[arg(long, value_name = "OBJECTS")]
    pub(crate) i_know: Option<u64>,
    /// Do not look how much it is, and refuse nothing: for programs that purge often.
    #[arg(long, requires = "yes", conflicts_with = "dry_run")]
    pub(crate) no_count: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DisksCommand {
    /// Every disk: state, fill level, share and failures.
    Ls,
    /// All about one disk, and what to do about it.
    Show {
        /// Its folder, the folder's last name, or at least four digits of its identity.
        disk: String,
    },
    /// Take a disk out of use, over restarts too.
    Offline {
        /// Its folder, the folder's last name, or at least four digits of its identity.
        disk: String,
        #[command(flatten)]
        flags: OrderFlags,
    },
    /// Take a disk into use again.
    Online {
        /// Its folder, the folder's last name, or at least four digits of its identity.
        disk: String,
        #[command(flatten)]
        flags: OrderFlags,
    },
    /// Forget what a disk held and begin anew with what is in its folder's place.
    Replace {
        /// Its folder, the folder's last name, or at least four digits of its identity.
        disk: String,
        #[command(flatten)]
        flags: OrderFlags,
    },
    /// What was written to each disk, in all and a day.
    Wear,
}

#[derive(Debug, Args)]
pub(crate) struct OrderFlags {
    /// Only tell what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a signing key and the public key set that edges need.
    New(New),
    /// Put a new token into a URL.
    MintUrl(MintUrl),
    /// Decode a token and tell what an edge would say to it.
    ExplainToken(ExplainToken),
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// A folder (for signing.jwk and jwks.json), or the private key's file.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) out: PathBuf,
    /// The key's id [default: its RFC 7638 thumbprint].
    #[arg(long)]
    pub(crate) kid: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MintUrl {
    /// The URL to open.
    pub(crate) url: String,
    /// The private key (JWK) that `keys new` made.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The service's `token.audience`.
    #[arg(long)]
    pub(crate) audience: String,
    /// How long the token is good: 30min, 4h, 7d.
    #[arg(long)]
    pub(crate) ttl: Duration,
    /// What the token opens [default: the URL's folder].
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// The session to write into the token.
    #[arg(long)]
    pub(crate) session: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainToken {
    /// The token, or a URL that holds one.
    #[arg(value_name = "TOKEN|URL")]
    pub(crate) token: String,
    /// The public keys to check the signature with.
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,
    /// The path to open [default: that of the URL].
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// The service's `token.audience`.
    #[arg(long)]
    pub(crate) audience: Option<String>,
}
