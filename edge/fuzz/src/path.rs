//! Request paths: the token in them, their one spelling, and what is written down of them.

use weir_edge_token::{canonical, covers, redact, split_path};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some((token, rest)) = split_path(text) {
        assert!(!token.is_empty() && rest.starts_with('/'));
        assert!(!token.contains('/'));
    }
    if let Ok(path) = canonical(text) {
        assert_eq!(canonical(&path).as_deref(), Ok(&*path), "one spelling for each path");
        assert!(covers("/", &path), "the whole covers it");
        assert!(!path.split('/').any(|segment| segment == ".."), "nothing climbs in {path}");
    }
    let told = redact(text);
    assert_eq!(redact(&told), told, "nothing is left to be taken out of {told}");
}
