//! The room on disk that `cargo xtask test` takes, looked at before it begins: a disk that is full
//! after an hour fails whatever stage comes then, with an error that says nothing of the reason.

use std::path::Path;

use rustix::fs::statvfs;

use crate::Failure;

const GIB: u64 = 1 << 30;
/// Everything built for the first time, with what clippy and the documentation's tests leave.
const BUILD: u64 = 8 * GIB;
/// A film with the servers that play it, and the container of the units.
const SERVERS: u64 = 4 * GIB;
/// The largest store that a campaign takes in its short form, `fill storm`, and its origin's files.
const CAMPAIGN: u64 = 4 * GIB;

/// What is missing, in words; nothing where there is enough.
pub fn lacks(root: &Path) -> Result<Option<String>, Failure> {
    let target = root.join("target");
    let built = target.join("release/deps").is_dir();
    let build = if built { 0 } else { BUILD };
    let temporary = std::env::temp_dir();
    let (here, there) = (available(root)?, available(&temporary)?);
    // Files of one device share its room.
    if device(root)? == device(&temporary)? {
        return Ok(said(root, here, build + SERVERS + CAMPAIGN));
    }
    let both = [said(root, here, build + SERVERS), said(&temporary, there, CAMPAIGN)];
    Ok(both.into_iter().flatten().reduce(|a, b| format!("{a}\n  {b}")))
}

fn said(place: &Path, available: u64, needed: u64) -> Option<String> {
    let gib = |bytes: u64| bytes as f64 / GIB as f64;
    (available < needed).then(|| {
        format!(
            "little room: {:.1} GiB are free on the disk of {}, and this takes {:.0} GiB; stages \
             may fail for that alone. Old builds are in target/release/incremental and \
             target/release/deps; TMPDIR says where campaigns put their disks",
            gib(available),
            place.display(),
            gib(needed)
        )
    })
}

fn available(place: &Path) -> Result<u64, Failure> {
    let found = statvfs(place).map_err(|why| Failure::path("look at", place, &why.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn device(place: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(place).map_err(|why| Failure::path("look at", place, &why))?;
    Ok(found.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let check = |available: u64, needed: u64, expected: Option<&str>| {
            let said = said(Path::new("/srv"), available, needed);
            assert_eq!(said.as_deref().map(|text| &text[..expected.unwrap_or("").len()]), expected);
        };
        check(8 * GIB, 8 * GIB, None);
        check(
            8 * GIB - GIB / 2,
            8 * GIB,
            Some("little room: 7.5 GiB are free on the disk of /srv, and this takes 8 GiB;"),
        );
    }

    #[test]
    fn this_machine_has_a_disk() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert!(available(dir.path()).expect("it is there") > 0);
        assert!(lacks(dir.path()).is_ok());
        assert!(lacks(&dir.path().join("none")).is_err());
    }
}
