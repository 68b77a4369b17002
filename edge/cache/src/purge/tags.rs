//! Tags: the names by which an upstream says which objects belong together.

use http::{HeaderMap, HeaderName};
use xxhash_rust::xxh3::xxh3_64;

use crate::object::TAGS_MAX;

/// Longest tag that is taken, bytes.
const TAG_MAX: usize = 1024;

/// Space separated.
static SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Separated by commas, by some upstreams by spaces.
static CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// How a tag is kept. Case means nothing in the one header's specification and something in
/// the other's practice; a tag that takes too much costs a fetch, one that takes too little
/// serves what was purged. So case is folded, for ASCII letters.
pub fn tag_hash(tag: &[u8]) -> u64 {
    xxh3_64(&tag.to_ascii_lowercase())
}

/// Hashes of the tags that a response carries in `Surrogate-Key` and `Cache-Tag`, in order and
/// each once. Beyond [`TAGS_MAX`] tags, and of more than 1,024 bytes, they are not taken.
pub fn tags_of(response: &HeaderMap) -> Box<[u64]> {
    let separate = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
    let blank = |byte: &u8| byte.is_ascii_whitespace();
    let keys = response.get_all(&SURROGATE_KEY).iter();
    let keys = keys.flat_map(|line| line.as_bytes().split(blank));
    let tags = response.get_all(&CACHE_TAG).iter();
    let tags = tags.flat_map(|line| line.as_bytes().split(separate));
    let sound = |tag: &&[u8]| !tag.is_empty() && tag.len() <= TAG_MAX;
    let mut hashes: Vec<u64> =
        keys.chain(tags).filter(sound).take(TAGS_MAX).map(tag_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&'static str, &str)], tags: &[&str]) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let mut expected: Vec<u64> = tags.iter().map(|tag| tag_hash(tag.as_bytes())).collect();
        expected.sort_unstable();
        assert_eq!(*tags_of(&headers), *expected, "{fields:?}");
    }

    #[test]
    fn both_headers_and_their_separators() {
        check(&[], &[]);
        check(&[("surrogate-key", "a b  c")], &["a", "b", "c"]);
        check(&[("cache-tag", "a,b , c d")], &["a", "b", "c", "d"]);
        // A comma is a letter of a surrogate key.
        check(&[("surrogate-key", "a,b c")], &["a,b", "c"]);
        check(
            &[("surrogate-key", "a"), ("surrogate-key", "b"), ("cache-tag", "c")],
            &["a", "b", "c"],
        );
        check(&[("surrogate-key", "a a"), ("cache-tag", "a, ,,")], &["a"]);
        check(&[("surrogate-key", "Title:8812")], &["title:8812"]);
    }

    #[test]
    fn bounded() {
        let long = "x".repeat(TAG_MAX + 1);
        check(&[("surrogate-key", &format!("a {long} b"))], &["a", "b"]);
        let many: Vec<String> = (0..TAGS_MAX + 9).map(|number| format!("t{number}")).collect();
        let kept: Vec<&str> = many.iter().take(TAGS_MAX).map(|tag| &**tag).collect();
        check(&[("surrogate-key", &many.join(" "))], &kept);
    }
}
