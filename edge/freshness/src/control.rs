//! `Cache-Control` of requests and responses, and its targeted forms for caches like ours.

use http::{HeaderMap, HeaderValue, header};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// RFC 9111 §1.2.2 [delta.overflow]: a cache that cannot represent a delta-seconds takes 2^31
/// for it. We take it for everything above, too: 68 years.
pub const SECONDS_MAX: u64 = 1 << 31;

/// Directives of a response that a shared cache acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheControl {
    /// Seconds. An argument that is no number makes it 0: stale (RFC 9111 §4.2.1).
    pub max_age: Option<u64>,
    /// Seconds, as `max_age`; for shared caches.
    pub s_maxage: Option<u64>,
    /// Not to be stored.
    pub no_store: bool,
    /// Not to be used without asking. The form with field names counts as the whole
    /// (RFC 9111 §5.2.2.4 lets a cache do so).
    pub no_cache: bool,
    /// For one user. The form with field names counts as the whole (§5.2.2.7).
    pub private: bool,
    /// May be stored although the request had `Authorization`.
    pub public: bool,
    /// Not to be used stale.
    pub must_revalidate: bool,
    /// Not to be used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// Only to be stored where the status code is understood (§5.2.2.3).
    pub must_understand: bool,
    /// Not to be transformed.
    pub no_transform: bool,
    /// RFC 8246: does not change while fresh.
    pub immutable: bool,
    /// RFC 5861 §3, seconds.
    pub stale_while_revalidate: Option<u64>,
    /// RFC 5861 §4, seconds.
    pub stale_if_error: Option<u64>,
}

/// Which field the directives came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targeted {
    /// `Cache-Control`, or no field at all.
    None,
    /// `CDN-Cache-Control` (RFC 9213): `Cache-Control` and `Expires` do not count.
    Cdn,
    /// `Surrogate-Control`: likewise.
    Surrogate,
}

/// The directives that count for us, from the field that counts.
/// RFC 9111 §5.2.2 [response.obey]: what they say is in the flags, lifetimes and decisions that
/// this crate makes of them.
pub fn response_control(headers: &HeaderMap) -> (CacheControl, Targeted) {
    // RFC 9213 §2.2: the first targeted field of the list that is there, valid and not empty
    // wins, and Cache-Control and Expires are ignored.
    if let Some(control) = cdn_cache_control(headers) {
        return (control, Targeted::Cdn);
    }
    // Surrogate-Control (W3C Edge Architecture, basic form) counts where it says how long; one
    // that only names a processor (`content="ESI/1.0"`) overrules nothing.
    let surrogate = surrogate_control(headers);
    if surrogate.max_age.is_some() || surrogate.no_store {
        return (surrogate, Targeted::Surrogate);
    }
    (CacheControl::parse(headers.get_all(header::CACHE_CONTROL)), Targeted::None)
}

impl CacheControl {
    /// Parses all lines of the field. Of a repeated directive the first counts (§4.2.1).
    // RFC 9111 §5.2.3 [directives.unknown]
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let mut control = Self::default();
        for line in lines {
            for (name, argument) in (Directives { rest: line.as_bytes() }) {
                control.take(&name, argument.as_deref());
            }
        }
        control
    }

    fn take(&mut self, name: &str, argument: Option<&[u8]>) {
        match name {
            "max-age" => first(&mut self.max_age, seconds(argument)),
            "s-maxage" => first(&mut self.s_maxage, seconds(argument)),
            "stale-while-revalidate" => first(&mut self.stale_while_revalidate, seconds(argument)),
            "stale-if-error" => first(&mut self.stale_if_error, seconds(argument)),
            other => self.raise(other),
        }
    }

    fn raise(&mut self, name: &str) {
        match name {
            "no-store" => self.no_store = true,
            // RFC 9111 §5.2.2.4 [no-cache.qualified]: with names it holds for the whole, which
            // holds for the names. So does private: RFC 9111 §5.2.2.7.
            "no-cache" => self.no_cache = true,
            // RFC 9111 §5.2.2.7 [private.qualified]
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "no-transform" => self.no_transform = true,
            "immutable" => self.immutable = true,
            _ => {}
        }
    }
}

/// Directives of a request (RFC 9111 §5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestControl {
    /// Ask upstream before using anything stored.
    pub no_cache: bool,
    /// Keep nothing of this exchange.
    pub no_store: bool,
    /// Oldest acceptable age, seconds.
    pub max_age: Option<u64>,
    /// Acceptable staleness, seconds; `SECONDS_MAX` for any.
    pub max_stale: Option<u64>,
    /// Freshness that must be left, seconds.
    pub min_fresh: Option<u64>,
    /// Answer 504 rather than ask upstream.
    pub only_if_cached: bool,
    /// RFC 5861 §4, seconds: what is stale by that is better than an error.
    pub stale_if_error: Option<u64>,
}

impl RequestControl {
    /// Parses `Cache-Control`, and `Pragma` where that is missing (§5.4).
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            for (name, argument) in (Directives { rest: line.as_bytes() }) {
                control.take(&name, argument.as_deref());
            }
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            control.no_cache = headers
                .get_all(header::PRAGMA)
                .iter()
                .flat_map(|line| Directives { rest: line.as_bytes() })
                .any(|(name, _)| name == "no-cache");
        }
        control
    }

    fn take(&mut self, name: &str, argument: Option<&[u8]>) {
        match name {
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => first(&mut self.max_age, seconds(argument)),
            // §5.2.1.3: without an argument any staleness will do.
            "max-stale" if argument.is_none() => first(&mut self.max_stale, SECONDS_MAX),
            "max-stale" => first(&mut self.max_stale, seconds(argument)),
            // An argument that is no number asks for nothing.
            "min-fresh" => first(&mut self.min_fresh, seconds(argument)),
            "stale-if-error" => first(&mut self.stale_if_error, seconds(argument)),
            _ => {}
        }
    }

    /// Whether it says how old or how fresh an answer must be.
    pub(crate) fn bounds_age(&self) -> bool {
        self.max_age.is_some() || self.min_fresh.is_some()
    }
}

/// RFC 9213 §2.1: a dictionary of structured fields, all of it or nothing. Members of the
/// wrong type do not count.
fn cdn_cache_control(headers: &HeaderMap) -> Option<CacheControl> {
    let lines: Vec<&[u8]> =
        headers.get_all("cdn-cache-control").iter().map(HeaderValue::as_bytes).collect();
    let dictionary = Parser::new(&lines.join(&b", "[..])).parse::<Dictionary>().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut control = CacheControl::default();
    for (name, entry) in &dictionary {
        let ListEntry::Item(item) = entry else { continue };
        match item.bare_item {
            BareItem::Integer(number) => {
                // §2.1 knows no negative delta-seconds; such a response is stale.
                let number = u64::try_from(i64::from(number)).unwrap_or(0).to_string();
                if takes_seconds(name.as_str()) {
                    control.take(name.as_str(), Some(number.as_bytes()));
                }
            }
            BareItem::Boolean(true) => control.raise(name.as_str()),
            // A list of field names in a string: the whole, as in Cache-Control.
            BareItem::String(_) if matches!(name.as_str(), "no-cache" | "private") => {
                control.raise(name.as_str());
            }
            _ => {}
        }
    }
    Some(control)
}

/// `Surrogate-Control` (W3C Edge Architecture): `max-age=60+30` is fresh for 60 s and may be
/// used stale for 30 s more; `no-store-remote` is for those whom the origin's owner does not
/// run, which an edge cannot know of itself. A directive with a target (`max-age=60;name`) is
/// for a surrogate of that name, and we call ourselves nothing.
fn surrogate_control(headers: &HeaderMap) -> CacheControl {
    let mut control = CacheControl::default();
    for line in headers.get_all("surrogate-control") {
        for (name, argument) in (Directives { rest: line.as_bytes() }) {
            let argument = argument.as_deref();
            let targeted = argument.is_some_and(|bytes| bytes.contains(&b';'));
            match (&*name, argument) {
                _ if targeted => {}
                ("max-age", Some(argument)) => {
                    let mut parts = argument.splitn(2, |byte| *byte == b'+');
                    control.take("max-age", parts.next());
                    if let Some(extra) = parts.next() {
                        control.take("stale-while-revalidate", Some(extra));
                        control.take("stale-if-error", Some(extra));
                    }
                }
                ("no-store" | "no-store-remote", _) => control.no_store = true,
                _ => {}
            }
        }
    }
    control
}

fn takes_seconds(name: &str) -> bool {
    matches!(name, "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error")
}

/// RFC 9111 §4.2.1 [lifetime.conflict]: of a repeated directive the first occurrence counts.
fn first(place: &mut Option<u64>, value: u64) {
    place.get_or_insert(value);
}

/// RFC 9111 §1.2.2 [delta.overflow]: what is too long is the greatest.
/// RFC 9111 §4.2.1 [lifetime.invalid]: what is no delta-seconds is 0, so that the response is
/// stale.
fn seconds(argument: Option<&[u8]>) -> u64 {
    let digits = argument.unwrap_or_default();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    digits.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')).min(SECONDS_MAX)
    })
}

/// Splits a field line into directives: lower-case name and argument without its quotes.
/// Whatever is between two commas that is no directive yields nothing.
struct Directives<'a> {
    rest: &'a [u8],
}

impl Iterator for Directives<'_> {
    type Item = (String, Option<Vec<u8>>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let part = self.split_member();
            let (name, argument) = match part.iter().position(|byte| *byte == b'=') {
                Some(place) => (&part[..place], Some(&part[place + 1..])),
                None => (part, None),
            };
            let name = name.trim_ascii();
            if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
                continue;
            }
            let name = name.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect();
            return Some((name, argument.map(|bytes| unquote(bytes.trim_ascii()))));
        }
    }
}

impl<'a> Directives<'a> {
    /// Up to the next comma outside quotes. A quote that never closes reaches to the end.
    fn split_member(&mut self) -> &'a [u8] {
        let (mut quoted, mut escaped) = (false, false);
        let end = self.rest.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => return true,
                _ => {}
            }
            false
        });
        let end = end.unwrap_or(self.rest.len());
        let member = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        member
    }
}

/// RFC 9110 §5.6.4. RFC 9111 §5.2 wants both forms of an argument taken.
fn unquote(bytes: &[u8]) -> Vec<u8> {
    let [b'"', inner @ ..] = bytes else { return bytes.to_vec() };
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        out.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    out
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
