//! The operator's route file: which site hears which prefix, one offer a line.
//!
//! ```text
//! # prefix          site      options
//! 200.48.0.0/16     lim-01
//! 200.48.0.0/16     bog-02    preference=50
//! 100.64.0.0/10     lim-01    at=lim-01
//! ```
//!
//! `at` names the site whose own clients are meant: private addresses and those behind a carrier's
//! NAT mean something there only. A file with one bad line is not used at all.

use std::{collections::HashMap, fmt};

use super::{
    Block,
    build::{ROUTES_MAX, RouteList, RoutesError, Source},
};
use crate::{
    prefix::{Prefix, PrefixError},
    snapshot::is_name,
};

/// Longest file, bytes.
pub const FILE_MAX: usize = 256 << 20;
/// Errors that are told in full; more are counted.
pub const ERRORS_MAX: usize = 100;
/// Longest line, bytes.
const LINE_MAX: usize = 1000;
/// Of a bad line, so much is shown.
const SHOWN_MAX: usize = 80;
/// What is preferred where a line does not say.
const PREFERENCE: u16 = 100;

/// What a file is held against.
pub struct FileChecks<'a> {
    /// Its name, as the source of its routes.
    pub name: &'a str,
    /// Whether a site is known.
    pub is_site: &'a dyn Fn(&str) -> bool,
    /// Reserved addresses may be announced, as on a machine that is its own network.
    pub reserved: bool,
}

impl fmt::Debug for FileChecks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileChecks({})", self.name)
    }
}

/// Why a file is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// More than is read.
    #[error("it has {found} bytes, at most {FILE_MAX} are read")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Lines that say nothing sound.
    #[error("{}", told(.lines, *.count))]
    Lines {
        /// The first of them.
        lines: Vec<LineError>,
        /// How many there are.
        count: usize,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}`: {why}")]
pub struct LineError {
    /// From 1.
    pub line: usize,
    /// The line, cut.
    pub text: String,
    /// Why.
    pub why: LineWhy,
}

/// Why a line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineWhy {
    /// Not text.
    #[error("it is not UTF-8")]
    NotText,
    /// Longer than any offer.
    #[error("it is longer than {LINE_MAX} bytes")]
    TooLong,
    /// Its first word.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// A prefix and nothing else.
    #[error("the site is missing: `PREFIX SITE [preference=N] [at=SITE]`")]
    NoSite,
    /// A site that is not configured.
    #[error("there is no site `{0}`")]
    UnknownSite(String),
    /// A word that is no option.
    #[error("`{0}` is neither `preference=N` (0 to 65535) nor `at=SITE`, or is there twice")]
    Option(String),
    /// Nobody's addresses.
    #[error("these addresses are reserved and no client has them")]
    Reserved,
    /// Wider than anybody's.
    #[error("it is wider than any network (/8, /16 for IPv6); the default order is for all others")]
    TooWide,
    /// Private addresses for everybody.
    #[error("these addresses are private: say with `at=SITE` whose clients are meant")]
    Private,
    /// The same offer again.
    #[error("it says the same as line {0}")]
    Twice(usize),
    /// Two sites, equally preferred.
    #[error("line {0} gives the same prefix to another site at the same preference: prefer one")]
    Conflict(usize),
    /// More than are taken.
    #[error(transparent)]
    Routes(#[from] RoutesError),
}

fn told(lines: &[LineError], count: usize) -> String {
    let mut text = format!("{count} bad line{}", if count == 1 { "" } else { "s" });
    for line in lines {
        text += &format!("\n  {line}");
    }
    if count > lines.len() {
        text += &format!("\n  and {} more", count - lines.len());
    }
    text
}

/// What was said of a prefix before: of which site, at which preference, in which line.
type Seen = HashMap<(Prefix, Option<String>, u16), (String, usize)>;

impl RouteList {
    /// Reads an operator's file; all that is wrong with it, or all its offers.
    pub fn parse(text: &[u8], checks: &FileChecks<'_>) -> Result<Self, FileError> {
        if text.len() > FILE_MAX {
            return Err(FileError::TooLong { found: text.len() });
        }
        let source = Source::File(checks.name.to_owned());
        let (mut list, mut seen) = (Self::default(), Seen::new());
        let (mut lines, mut count) = (Vec::new(), 0);
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let Err(why) = take(&mut list, &mut seen, &source, number, line, checks) else {
                continue;
            };
            count += 1;
            if lines.len() < ERRORS_MAX {
                let text = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN_MAX)]);
                let text = text.trim().chars().take(SHOWN_MAX);
                let text = text.map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect();
                lines.push(LineError { line: number, text, why });
            }
            if list.len() >= ROUTES_MAX {
                break;
            }
        }
        if count == 0 { Ok(list) } else { Err(FileError::Lines { lines, count }) }
    }
}

fn take(
    list: &mut RouteList,
    seen: &mut Seen,
    source: &Source,
    number: usize,
    line: &[u8],
    checks: &FileChecks<'_>,
) -> Result<(), LineWhy> {
    if line.len() > LINE_MAX {
        return Err(LineWhy::TooLong);
    }
    let line = str::from_utf8(line).map_err(|_| LineWhy::NotText)?;
    let line = line.split('#').next().unwrap_or("");
    let mut words = line.split_ascii_whitespace();
    let Some(prefix) = words.next() else { return Ok(()) };
    let prefix = Prefix::parse(prefix)?;
    let site = words.next().ok_or(LineWhy::NoSite)?;
    if site.contains('=') {
        return Err(LineWhy::NoSite);
    }
    let site = known(site, checks)?;
    let (mut preference, mut at) = (None, None);
    for word in words {
        let bad = || LineWhy::Option(word.chars().take(SHOWN_MAX).collect());
        match word.split_once('=') {
            Some(("preference", value)) if preference.is_none() => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let value = digits.then(|| value.parse().ok()).flatten();
                preference = Some(value.ok_or_else(bad)?);
            }
            Some(("at", value)) if at.is_none() => at = Some(known(value, checks)?),
            _ => return Err(bad()),
        }
    }
    match Block::of(prefix) {
        Block::TooWide => return Err(LineWhy::TooWide),
        Block::Reserved if !checks.reserved => return Err(LineWhy::Reserved),
        Block::Private if at.is_none() && !checks.reserved => return Err(LineWhy::Private),
        _ => {}
    }
    let preference = preference.unwrap_or(PREFERENCE);
    let said = (prefix, at.map(str::to_owned), preference);
    match seen.get(&said) {
        Some((before, line)) if before == site => return Err(LineWhy::Twice(*line)),
        Some((_, line)) => return Err(LineWhy::Conflict(*line)),
        None => seen.insert(said, (site.to_owned(), number)),
    };
    Ok(list.push(prefix, at, site, source, (preference, 0))?)
}

fn known<'a>(site: &'a str, checks: &FileChecks<'_>) -> Result<&'a str, LineWhy> {
    if is_name(site) && (checks.is_site)(site) {
        return Ok(site);
    }
    Err(LineWhy::UnknownSite(site.chars().take(SHOWN_MAX).collect()))
}
