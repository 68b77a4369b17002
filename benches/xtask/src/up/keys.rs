//! Keys of playback tokens, and tokens, by cachectl as an operator would.

use std::path::{Path, PathBuf};

use crate::{
    Failure, files,
    run::Run,
    up::{config::AUDIENCE, stack::Place},
};

/// Long enough for a film, its pauses, and a night between.
const TTL: &str = "48h";

/// The signing key, which edges never see.
pub(super) fn private(dir: &Path) -> PathBuf {
    dir.join("keys/signing.jwk")
}

/// The public keys that edges verify tokens with; made with a signing key when either is
/// missing.
pub(super) fn ensure(place: &Place, dir: &Path) -> Result<PathBuf, Failure> {
    let (private, jwks) = (private(dir), dir.join("keys/jwks.json"));
    let whole = |path: &Path| -> Result<bool, Failure> {
        let text = files::read(path)?.unwrap_or_default();
        Ok(serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|key| key.is_object()))
    };
    if whole(&private)? && whole(&jwks)? {
        return Ok(jwks);
    }
    files::remove(&private)?;
    files::remove(&jwks)?;
    let run = Run::new(place.program("cachectl")).args(["keys", "new"]);
    // A folder: cachectl names the two files in it.
    run.arg("--out").arg(dir.join("keys")).output()?;
    if !whole(&private)? || !whole(&jwks)? {
        return Err(Failure::new(format!(
            "`cachectl keys new` did not write {} and {}",
            private.display(),
            jwks.display()
        )));
    }
    Ok(jwks)
}

/// `path` with a token before it that opens `prefix` for the session `sid`.
pub(super) fn mint(
    place: &Place,
    dir: &Path,
    path: &str,
    prefix: &str,
    sid: &str,
) -> Result<String, Failure> {
    // Every edge takes the same token, so that the host does not matter.
    const HOST: &str = "https://localhost";
    let url = format!("{HOST}{path}");
    let run = Run::new(place.program("cachectl")).args(["keys", "mint-url", &url]);
    let run = run.arg("--key").arg(private(dir)).args(["--audience", AUDIENCE, "--ttl", TTL]);
    let said = run.args(["--prefix", prefix, "--session", sid]).output()?;
    match said.trim().strip_prefix(HOST) {
        Some(path) if path.starts_with("/t/") => Ok(path.to_owned()),
        _ => Err(Failure::new("`cachectl keys mint-url` did not answer with a URL")),
    }
}
