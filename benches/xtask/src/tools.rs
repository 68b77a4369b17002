//! Tools that are no Debian packages, each pinned, in a cache outside `target/`:
//! `$WEIR_CACHE`, else `$XDG_CACHE_HOME/weir`, else `~/.cache/weir`.

pub mod cargo;
pub mod node;
pub mod python;

use std::{
    env,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{Failure, files, s3::hex};

/// The cache's directory.
pub fn cache() -> Result<PathBuf, Failure> {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("WEIR_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("weir")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/weir")))
        .ok_or_else(|| Failure::new("there is no place for tools: set HOME or WEIR_CACHE"))
}

/// Runs `make` unless it succeeded before for the same `recipe`; `stamp` remembers.
pub(crate) fn once(
    stamp: &Path,
    recipe: &[u8],
    make: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mark = hex(&Sha256::digest(recipe));
    if files::read(stamp)?.as_deref() == Some(&mark) {
        return Ok(());
    }
    make()?;
    files::write(stamp, mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_recipe_is_made_once_until_it_changes() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let stamp = dir.path().join("stamp");
        let made = Cell::new(0);
        let make = |works: bool| {
            made.set(made.get() + 1);
            if works { Ok(()) } else { Err(Failure::new("broke")) }
        };
        once(&stamp, b"1", || make(false)).expect_err("it broke");
        once(&stamp, b"1", || make(true)).expect("makes");
        once(&stamp, b"1", || make(true)).expect("is there");
        once(&stamp, b"2", || make(true)).expect("makes anew");
        assert_eq!(made.get(), 3);
    }
}
