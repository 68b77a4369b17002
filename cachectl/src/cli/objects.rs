//! Arguments of `cachectl cache ls | get | pin | unpin | verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use weir_config_admin::SCRUB_RATE_LEAST;
use weir_config_units::{BitRate, ByteSize};

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The beginning of a URL with scheme and host, or of cache keys.
    pub(crate) prefix: Option<String>,
    /// Those read most often first.
    #[arg(long, conflicts_with_all = ["cold", "sort"])]
    pub(crate) hot: bool,
    /// Those never read or not read for longest first.
    #[arg(long, conflicts_with = "sort")]
    pub(crate) cold: bool,
    /// In which order [default: key].
    #[arg(long, value_name = "KEY")]
    pub(crate) sort: Option<Order>,
    /// How many; 0 is all of them, in no order unless one is given.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: u64,
    /// Only those that are pinned.
    #[arg(long)]
    pub(crate) pinned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    Key,
    Reads,
    Unread,
    Size,
    Age,
    Any,
}

impl Order {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Reads => "reads",
            Self::Unread => "unread",
            Self::Size => "size",
            Self::Age => "age",
            Self::Any => "any",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// A URL as a client asks for it, with or without its token, or a cache key.
    #[arg(value_name = "URL|KEY")]
    pub(crate) name: String,
    /// Which of a URL's variants, as `cache ls` writes it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) variant: Option<String>,
    /// Only these bytes: FIRST-LAST, FIRST- or -LENGTH.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<String>,
    /// Read every copy back from its disk and say what does not hold; without --output the
    /// bytes are not written.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Write the bytes there; - is stdout, also where it is a terminal.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// A URL as a client asks for it, with every variant of it.
    #[arg(required_unless_present_any = ["prefix", "tag", "service"])]
    pub(crate) url: Option<String>,
    /// Every object whose URL begins so, with scheme and host.
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "tag", "service"])]
    pub(crate) prefix: Option<String>,
    /// Every object that an upstream tagged so.
    #[arg(long, conflicts_with_all = ["url", "service"])]
    pub(crate) tag: Option<String>,
    /// Every object of a service.
    #[arg(long, value_name = "ID", conflicts_with = "url")]
    pub(crate) service: Option<String>,
    /// Only tell what would change.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// When it ends: 2026-12-01, 2026-12-01T18:00Z, or from now: 12h, 7d [default: never].
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Scrub {
    /// One disk: its folder, the folder's last name, or its identity [default: all in use].
    #[arg(long)]
    pub(crate) disk: Option<String>,
    /// How fast each disk is read: 800Mbit, or 100MiB for so much a second.
    #[arg(long, default_value = "800Mbit", value_parser = rate)]
    pub(crate) rate: Rate,
}

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u64);

fn rate(text: &str) -> Result<Rate, String> {
    let bytes = match text.parse::<BitRate>() {
        Ok(bits) => bits.as_u64() / 8,
        Err(error) => text.parse::<ByteSize>().map_err(|_| error.to_string())?.as_u64(),
    };
    match bytes {
        0..SCRUB_RATE_LEAST => {
            Err("below 1 MiB a second a terabyte takes more than twelve days".into())
        }
        _ => Ok(Rate(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Rate, rate};

    #[test]
    fn rates() {
        let check = |text, expected| assert_eq!(rate(text).ok(), expected, "{text}");
        check("800Mbit", Some(Rate(100_000_000)));
        check("100MiB", Some(Rate(100 << 20)));
        check("1MiB", Some(Rate(1 << 20)));
        check("1023KiB", None);
        check("5B", None);
        check("8Mbit", None);
        check("0Mbit", None);
        check("fast", None);
    }
}
