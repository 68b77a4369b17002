//! What is remembered of the disks over a restart, in a small file beside the state file: a
//! dead disk cannot tell why it was given up.
//!
//! One line a disk, a checksum at the end. A register that is missing or damaged forgets what
//! was offline and what was written; the probes find out about the first anew.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    cause::{Cause, Offline},
    rendezvous::DiskId,
    wear::Wear,
};
use crate::chunk::crc32c;

const TITLE: &str = "weir disks 1";
/// Some hundred disks; more is no register of ours.
const BYTES_MAX: u64 = 256 << 10;

/// One disk of the last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it was.
    pub(super) path: PathBuf,
    /// Whether it was on another file system than the register itself.
    pub(super) mounted: bool,
    pub(super) offline: Option<Offline>,
    pub(super) wear: Wear,
}

/// All disks of the last run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Register {
    pub(super) disks: BTreeMap<DiskId, Entry>,
}

impl Register {
    /// The disk that was at this path.
    pub(super) fn at(&self, path: &Path) -> Option<(DiskId, &Entry)> {
        self.disks.iter().find(|(_, entry)| entry.path == path).map(|(id, entry)| (*id, entry))
    }

    fn render(&self) -> String {
        let mut text = format!("{TITLE}\n");
        for (id, entry) in &self.disks {
            let place = if entry.mounted { "mounted" } else { "beside" };
            let (cause, since, what) = match &entry.offline {
                None => ("online", 0, ""),
                Some(offline) => {
                    (offline.cause.as_str(), offline.since_unix_ms, offline.what.as_str())
                }
            };
            let fields = [
                id.to_string(),
                place.to_owned(),
                cause.to_owned(),
                since.to_string(),
                entry.wear.render(),
                escaped(&entry.path.to_string_lossy()),
                escaped(what),
            ];
            text.push_str(&fields.join("\t"));
            text.push('\n');
        }
        text.push_str(&format!("crc {:08x}\n", crc32c(text.as_bytes())));
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let body = text.strip_suffix('\n')?;
        let at = body.rfind('\n')? + 1;
        let sum = u32::from_str_radix(body[at..].strip_prefix("crc ")?, 16).ok()?;
        let body = body.get(..at)?;
        if crc32c(body.as_bytes()) != sum {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let disks = lines.map(entry).collect::<Option<_>>()?;
        Some(Self { disks })
    }
}

fn entry(line: &str) -> Option<(DiskId, Entry)> {
    let fields: Vec<_> = line.split('\t').collect();
    let [id, place, cause, since, wear, path, what] = fields.as_slice() else { return None };
    let offline = match *cause {
        "online" => None,
        cause => Some(Offline {
            cause: Cause::parse(cause)?,
            what: plain(what)?,
            since_unix_ms: since.parse().ok()?,
        }),
    };
    let mounted = match *place {
        "mounted" => true,
        "beside" => false,
        _ => return None,
    };
    let entry = Entry { path: plain(path)?.into(), mounted, offline, wear: Wear::parse(wear)? };
    Some((DiskId::parse(id)?, entry))
}

/// Without what separates fields and lines.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn plain(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.push(match letter {
            '\\' => match letters.next()? {
                '\\' => '\\',
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(out)
}

/// What was read of a register's file.
#[derive(Debug)]
pub(super) enum Found {
    /// It says so.
    Written(Register),
    /// There was none, or none that can be believed.
    Nothing,
}

/// Reads it. Anything but a sound register counts as none.
pub(super) fn read(path: &Path) -> Found {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => match Register::parse(&text) {
            Some(register) => Found::Written(register),
            None => {
                tracing::warn!(path = %path.display(), "the register of disks is damaged: which \
                    of them were offline is forgotten");
                Found::Nothing
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the register of disks cannot be read");
            Found::Nothing
        }
    }
}

/// Takes it for this process: another one's disks are not to be written down here. `None`
/// where another process has it.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::create(beside(path, ".lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Writes it so that a crash leaves the old one or this one.
pub(super) fn write(path: &Path, register: &Register) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = File::create(&new)?;
    file.write_all(register.render().as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn register() -> Register {
        let wear = Wear { total: 77, since_day: 20_000, days: vec![(20_001, 70), (20_002, 7)] };
        let offline = Offline {
            cause: Cause::Errors,
            what: "its probe failed:\tI/O error\\\n(os error 5)".into(),
            since_unix_ms: 1_763_000_000_123,
        };
        let dead =
            Entry { path: "/srv/disk 0\n".into(), mounted: true, offline: Some(offline), wear };
        let well = Entry {
            path: "cache/disk1".into(),
            mounted: false,
            offline: None,
            wear: Wear::default(),
        };
        Register { disks: [(DiskId(9), dead), (DiskId(1), well)].into() }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disks");
        assert!(matches!(read(&path), Found::Nothing));
        write(&path, &Register::default()).unwrap();
        write(&path, &register()).unwrap();
        let held = lock(&path).unwrap();
        assert!(held.is_some() && lock(&path).unwrap().is_none());
        let Found::Written(found) = read(&path) else { panic!("it was written") };
        assert_eq!(found, register());
        assert_eq!(found.at(Path::new("cache/disk1")).unwrap().0, DiskId(1));
        assert!(found.at(Path::new("cache/disk2")).is_none());
    }

    /// A flipped bit anywhere is noticed.
    #[test]
    fn a_damaged_register_is_none() {
        let text = register().render().into_bytes();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut damaged = text.clone();
                damaged[at] ^= 1 << bit;
                let found = String::from_utf8(damaged).ok().and_then(|text| Register::parse(&text));
                // The sum's own digits may be of either case.
                assert!(found.is_none_or(|found| found == register()), "byte {at}, bit {bit}");
            }
            assert!(Register::parse(std::str::from_utf8(&text[..at]).unwrap()).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*", path in ".*") {
            let _ = Register::parse(&text);
            let sum = crc32c(text.as_bytes());
            let _ = Register::parse(&format!("{text}crc {sum:08x}\n"));
            prop_assert_eq!(plain(&escaped(&path)), Some(path));
        }
    }
}
