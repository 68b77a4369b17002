//! The walk over a bucket's folder in byte order of the keys. It holds a bounded number of
//! names of each folder on the way down, whatever the folder holds.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::path::Name;

/// Names of one folder held at a time: one more page of S3 fits.
const HELD: usize = 1024;

/// One folder on the way down.
struct Frame {
    path: PathBuf,
    /// What all keys below begin with.
    base: Vec<u8>,
    /// Names still to be visited, by the bytes they add to `base`.
    names: BTreeMap<Vec<u8>, Name>,
    /// Names above this one were left out and must be read when the held ones are done.
    more_after: Option<Vec<u8>>,
}

/// Keys of a bucket above a bound and below a prefix, in order.
pub(super) struct Walk<'a> {
    frames: Vec<Frame>,
    prefix: &'a [u8],
    /// Keys up to this one are passed over.
    after: Option<Vec<u8>>,
    /// Keys that begin so are passed over.
    beneath: Option<Vec<u8>>,
    held: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bucket: &Path, prefix: &'a str, after: Option<&str>) -> io::Result<Self> {
        Self::holding(bucket, prefix, after, HELD)
    }

    fn holding(
        bucket: &Path,
        prefix: &'a str,
        after: Option<&str>,
        held: usize,
    ) -> io::Result<Self> {
        let after = after.map(|after| after.as_bytes().to_vec());
        let prefix = prefix.as_bytes();
        let mut walk = Self { frames: Vec::new(), prefix, after, beneath: None, held };
        walk.enter(bucket.to_owned(), Vec::new(), None)?;
        Ok(walk)
    }

    /// Passes over every key that begins with `prefix`.
    pub(super) fn pass_over(&mut self, prefix: &[u8]) {
        self.beneath = Some(prefix.to_vec());
    }

    /// Whether some key that begins with (or is) `begin` can be wanted.
    fn wants(&self, begin: &[u8], whole: bool) -> bool {
        let meets_prefix =
            begin.starts_with(self.prefix) || !whole && self.prefix.starts_with(begin);
        let above = self
            .after
            .as_deref()
            .is_none_or(|after| begin > after || !whole && after.starts_with(begin));
        let beneath = self.beneath.as_deref().is_some_and(|beneath| begin.starts_with(beneath));
        meets_prefix && above && !beneath
    }

    /// Reads the smallest wanted names of a folder. A folder that went away is empty.
    fn enter(&mut self, path: PathBuf, base: Vec<u8>, above: Option<&[u8]>) -> io::Result<()> {
        let mut names = BTreeMap::new();
        let mut more_after = None;
        let entries = match fs::read_dir(&path) {
            Err(error) if is_absent(&error) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            // What this store did not write has no key.
            let Some(name) = Name::parse(&entry?.file_name()) else { continue };
            let begin = [&base, name.bytes()].concat();
            let bytes = name.bytes().to_vec();
            if above.is_some_and(|above| bytes.as_slice() <= above)
                || !self.wants(&begin, matches!(name, Name::Object(_)))
            {
                continue;
            }
            names.insert(bytes, name);
            if names.len() > self.held {
                names.pop_last();
                more_after = names.last_key_value().map(|(bytes, _)| bytes.clone());
            }
        }
        self.frames.push(Frame { path, base, names, more_after });
        Ok(())
    }

    /// The next key with the path of its file.
    pub(super) fn next(&mut self) -> io::Result<Option<(String, PathBuf)>> {
        while let Some(frame) = self.frames.last_mut() {
            let Some((bytes, name)) = frame.names.pop_first() else {
                let done = self.frames.pop().expect("there was a last frame");
                if let Some(above) = done.more_after {
                    self.enter(done.path, done.base, Some(&above))?;
                }
                continue;
            };
            let begin = [&frame.base[..], &bytes].concat();
            let path = frame.path.join(name.on_disk());
            let whole = matches!(name, Name::Object(_));
            if !self.wants(&begin, whole) {
                continue;
            }
            if !whole {
                self.enter(path, begin, None)?;
            } else if let Ok(key) = String::from_utf8(begin) {
                return Ok(Some((key, path)));
            }
        }
        Ok(None)
    }
}

/// Gone meanwhile, or a foreign file that bears a folder's name.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The prefix that a delimiter folds `key` into.
pub(super) fn folded<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let at = key.strip_prefix(prefix)?.find(delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::directory::path::object_path;

    fn bucket_with<'k>(keys: impl IntoIterator<Item = &'k String>) -> tempfile::TempDir {
        let bucket = tempfile::tempdir().unwrap();
        for key in keys {
            let path = bucket.path().join(object_path(key));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        bucket
    }

    fn walked(bucket: &Path, prefix: &str, after: Option<&str>, held: usize) -> Vec<String> {
        let mut walk = Walk::holding(bucket, prefix, after, held).unwrap();
        let mut keys = Vec::new();
        while let Some((key, path)) = walk.next().unwrap() {
            assert_eq!(path, bucket.join(object_path(&key)));
            keys.push(key);
        }
        keys
    }

    #[test]
    fn a_key_folds_at_the_first_delimiter_behind_the_prefix() {
        fn check(key: &str, prefix: &str, delimiter: Option<&str>, expected: Option<&str>) {
            assert_eq!(folded(key, prefix, delimiter), expected, "{key}");
        }
        check("a/b/c", "", Some("/"), Some("a/"));
        check("a/b/c", "a/", Some("/"), Some("a/b/"));
        check("a/b/c", "a", Some("/"), Some("a/"));
        check("a/b/c", "a/b/", Some("/"), None);
        check("a/b/c", "", None, None);
        check("a/b/c", "", Some(""), None);
        check("axxb", "", Some("xx"), Some("axx"));
        check("a//b", "a/", Some("/"), Some("a//"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Against a sorted set, with folders read in pieces as small as one name.
        #[test]
        fn the_walk_is_a_sorted_set(
            keys in prop::collection::btree_set("[a-b./]{1,6}|[a]{78,82}[/b]{0,2}", 0..40),
            prefix in "[a-b./]{0,2}|[a]{79,81}",
            after in prop::option::of("[a-b./]{1,4}|[a]{79,81}"),
            held in 1usize..5,
        ) {
            let bucket = bucket_with(&keys);
            let expected: Vec<String> = keys
                .iter()
                .filter(|key| key.starts_with(&prefix))
                .filter(|key| after.as_ref().is_none_or(|after| *key > after))
                .cloned()
                .collect();
            prop_assert_eq!(walked(bucket.path(), &prefix, after.as_deref(), held), expected);
        }
    }

    #[test]
    fn empty_folders_and_foreign_files_are_nothing() {
        let keys = BTreeSet::from(["a/b".to_owned(), "c".to_owned()]);
        let bucket = bucket_with(&keys);
        fs::create_dir_all(bucket.path().join("empty/folder")).unwrap();
        fs::write(bucket.path().join("README"), b"").unwrap();
        fs::write(bucket.path().join(".hidden="), b"").unwrap();
        // A file where a folder's name would stand.
        fs::write(bucket.path().join("plain"), b"").unwrap();
        assert_eq!(walked(bucket.path(), "", None, 10), ["a/b", "c"]);
    }
}
