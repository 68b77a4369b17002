//! What a node holds: a compact set of titles and renditions, and what came and went since.
//!
//! A Bloom filter: it says of one key in a hundred that it is there when it is not, and never the
//! other way round. Deltas between two filters are exact.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use xxhash_rust::xxh3::xxh3_64;

/// Bits of a filter for each key: one in a hundred is wrong.
const BITS_A_KEY: usize = 10;
/// Draws for each key, `ln 2 * BITS_A_KEY`.
const DRAWS: u64 = 7;
/// Longest filter, in words of 64 bits: 8 MiB, or 6.7 million keys.
pub const FILTER_MAX: usize = 1 << 20;
/// Most keys that came, and that went, since the filter was made.
pub const DELTAS_MAX: usize = 10_000;

/// What can be held: a title, or one rendition of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentKey(pub u64);

impl ContentKey {
    /// Of a title's rendition; an empty rendition is the title as a whole.
    pub fn new(title: &str, rendition: &str) -> Self {
        // Not one string: "a" + "bc" is not "ab" + "c".
        Self(xxh3_64(rendition.as_bytes()).rotate_left(17) ^ xxh3_64(title.as_bytes()))
    }
}

/// The set itself. Copies share the filter.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdings {
    /// Counts the states of a node's inventory.
    pub version: u64,
    #[serde(serialize_with = "words_out", deserialize_with = "words_in")]
    filter: Arc<[u64]>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    came: Vec<ContentKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    went: Vec<ContentKey>,
}

impl fmt::Debug for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bits, came, went) = (self.filter.len() * 64, self.came.len(), self.went.len());
        write!(f, "Holdings(v{}, {bits} bits, +{came} -{went})", self.version)
    }
}

impl Holdings {
    /// Of these keys; those beyond the longest filter make it say yes more often.
    pub fn of(version: u64, keys: &[ContentKey]) -> Self {
        let words = (keys.len() * BITS_A_KEY).div_ceil(64).clamp(1, FILTER_MAX);
        let mut filter = vec![0_u64; words];
        for key in keys {
            for bit in draws(*key, words) {
                filter[bit / 64] |= 1 << (bit % 64);
            }
        }
        Self { version, filter: filter.into(), came: Vec::new(), went: Vec::new() }
    }

    /// The same with what came and went, later ones winning. False when they are too many: a new
    /// filter has to be made.
    #[must_use]
    pub fn follow(&mut self, version: u64, came: &[ContentKey], went: &[ContentKey]) -> bool {
        self.came.retain(|key| !went.contains(key));
        self.went.retain(|key| !came.contains(key));
        self.came.extend_from_slice(came);
        self.went.extend_from_slice(went);
        for list in [&mut self.came, &mut self.went] {
            list.sort_unstable();
            list.dedup();
        }
        self.version = version;
        self.is_bounded()
    }

    /// Whether it is there, or looks so.
    pub fn holds(&self, key: ContentKey) -> bool {
        if self.went.binary_search(&key).is_ok() {
            return false;
        }
        let words = self.filter.len();
        let drawn = words > 0
            && draws(key, words).all(|bit| self.filter[bit / 64] & (1 << (bit % 64)) != 0);
        drawn || self.came.binary_search(&key).is_ok()
    }

    /// Within its bounds, and sorted as lookups need it.
    pub(crate) fn is_bounded(&self) -> bool {
        let list = |keys: &[ContentKey]| {
            keys.len() <= DELTAS_MAX && keys.windows(2).all(|pair| pair[0] < pair[1])
        };
        self.filter.len() <= FILTER_MAX && list(&self.came) && list(&self.went)
    }
}

/// The bits of a key: two hashes make all draws (Kirsch and Mitzenmacher, 2006).
fn draws(key: ContentKey, words: usize) -> impl Iterator<Item = usize> {
    let bits = words as u64 * 64;
    let first = key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let step = (key.0 ^ (key.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1;
    (0..DRAWS).map(move |draw| {
        let at = first.wrapping_add(draw.wrapping_mul(step));
        ((u128::from(at) * u128::from(bits)) >> 64) as usize
    })
}

/// Hexadecimal: a filter of JSON numbers would be twice as long.
fn words_out<S: Serializer>(words: &Arc<[u64]>, to: S) -> Result<S::Ok, S::Error> {
    let text: String = words.iter().map(|word| format!("{word:016x}")).collect();
    to.serialize_str(&text)
}

fn words_in<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u64]>, D::Error> {
    let text = String::deserialize(from)?;
    let bad = || D::Error::custom("a filter is words of 16 hexadecimal digits");
    if text.len() % 16 != 0 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    if text.len() / 16 > FILTER_MAX {
        return Err(D::Error::custom("a filter is at most 8 MiB"));
    }
    let word = |chunk: &[u8]| u64::from_str_radix(str::from_utf8(chunk).ok()?, 16).ok();
    text.as_bytes().chunks(16).map(|chunk| word(chunk).ok_or_else(bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u32>) -> Vec<ContentKey> {
        range.map(|number| ContentKey::new(&format!("title/{number}"), "1080")).collect()
    }

    #[test]
    fn what_is_held_is_found_and_one_in_a_hundred_besides() {
        let holdings = Holdings::of(1, &keys(0..10_000));
        assert!(keys(0..10_000).iter().all(|key| holdings.holds(*key)));
        let wrong = keys(10_000..110_000).iter().filter(|key| holdings.holds(**key)).count();
        assert!((400..1600).contains(&wrong), "{wrong} of 100,000");
    }

    #[test]
    fn deltas_are_exact_and_survive_being_written() {
        let mut holdings = Holdings::of(1, &keys(0..100));
        let (new, old) = (keys(500..510), keys(0..10));
        assert!(holdings.follow(2, &new, &old));
        let text = serde_json::to_string(&holdings).unwrap();
        let read: Holdings = serde_json::from_str(&text).unwrap();
        assert_eq!(read, holdings);
        assert!(new.iter().all(|key| read.holds(*key)));
        assert!(old.iter().all(|key| !read.holds(*key)));
        assert!(keys(10..100).iter().all(|key| read.holds(*key)));
        // What went comes back.
        assert!(holdings.follow(3, &old, &[]) && old.iter().all(|key| holdings.holds(*key)));
        assert!(!holdings.follow(4, &keys(0..DELTAS_MAX as u32 + 1), &[]));
    }

    #[test]
    fn an_empty_or_broken_filter_holds_nothing() {
        assert!(!Holdings::default().holds(ContentKey(1)));
        assert!(!Holdings::of(1, &[]).holds(ContentKey(1)));
        for filter in ["0", "zz00000000000000", "0000000000000000é"] {
            let text = format!("{{\"version\":1,\"filter\":\"{filter}\"}}");
            assert!(serde_json::from_str::<Holdings>(&text).is_err(), "{filter}");
        }
    }
}
