//! Files of a directory, made once, and damaged by bytes.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::{fs::SeekFrom, io::Errno};
use tempfile::TempDir;

/// Edits in one input.
const EDITS_MAX: usize = 16;
/// Where heads of files are.
const HEAD: u64 = 64 * 1024;

/// Pieces that are looked at for being zeros.
const PIECE: usize = 4096;
/// Inputs for which a directory is used again: what was ever written to it has to be looked at.
const USES: u32 = 256;

/// A temporary directory, in memory where that can be had: a fuzzer waits for no device.
pub(crate) fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    made.expect("a temporary directory")
}

/// The files of a directory as they were, without the zeros: a disk is made far larger than what
/// is on it.
#[derive(Debug)]
pub(crate) struct Sound {
    directories: Vec<PathBuf>,
    files: Vec<Stored>,
}

#[derive(Debug)]
struct Stored {
    place: PathBuf,
    length: u64,
    /// What is not zeros, and where.
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Sound {
    /// Reads them, those in its directories too.
    pub(crate) fn of(directory: &Path) -> Self {
        let mut sound = Self { directories: Vec::new(), files: Vec::new() };
        sound.read(directory, Path::new(""));
        sound
    }

    fn read(&mut self, directory: &Path, place: &Path) {
        self.directories.push(place.to_owned());
        for entry in fs::read_dir(directory).expect("it was made here") {
            let path = entry.expect("entries can be read").path();
            let place = place.join(path.file_name().unwrap_or_default());
            if path.is_dir() {
                self.read(&path, &place);
                continue;
            }
            let bytes = fs::read(&path).expect("it was made here");
            let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
            for (number, piece) in bytes.chunks(PIECE).enumerate() {
                if piece.iter().all(|byte| *byte == 0) {
                    continue;
                }
                let at = (number * PIECE) as u64;
                match pieces.last_mut() {
                    Some((from, last)) if *from + last.len() as u64 == at => last.extend(piece),
                    _ => pieces.push((at, piece.to_vec())),
                }
            }
            self.files.push(Stored { place, length: bytes.len() as u64, pieces });
        }
    }

    /// Puts a directory that was laid out right again, without giving back the room of its files
    /// and taking it anew, which is most of the work for a disk.
    fn mend(&self, directory: &Path) -> io::Result<()> {
        for path in files(directory) {
            let known = self.files.iter().find(|stored| directory.join(&stored.place) == path);
            match known {
                Some(stored) => stored.mend(&path)?,
                None => fs::remove_file(&path)?,
            }
        }
        Ok(())
    }

    /// Lays them out again.
    pub(crate) fn lay(&self, to: &Path) {
        for directory in &self.directories {
            fs::create_dir_all(to.join(directory)).expect("a temporary directory");
        }
        for Stored { place, length, pieces } in &self.files {
            let file = fs::File::create(to.join(place)).expect("a temporary directory");
            let laid = file.set_len(*length).and_then(|()| {
                pieces.iter().try_for_each(|(at, bytes)| file.write_all_at(bytes, *at))
            });
            laid.expect("room in the temporary directory");
        }
    }
}

impl Stored {
    fn mend(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if file.metadata()?.len() != self.length {
            file.set_len(self.length)?;
        }
        let (mut at, mut read, zeros) = (0, vec![0; 16 * PIECE], vec![0; 16 * PIECE]);
        while at < self.length {
            // What is a hole was never written. Where there are no holes, all of it is read.
            match rustix::fs::seek(&file, SeekFrom::Data(at)) {
                Ok(data) => at = data,
                Err(Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            }
            let length = file.read_at(&mut read, at)?;
            if read[..length] != zeros[..length] {
                file.write_all_at(&zeros[..length], at)?;
            }
            at += length.max(1) as u64;
        }
        self.pieces.iter().try_for_each(|(at, bytes)| file.write_all_at(bytes, *at))
    }
}

/// A directory with sound files, for one input after another.
#[derive(Debug)]
pub(crate) struct Place {
    directory: TempDir,
    uses: u32,
}

impl Place {
    /// The one that was used before, mended, or another one.
    pub(crate) fn again(sound: &Sound, last: Option<Self>) -> Self {
        let last = last.filter(|last| {
            last.uses < USES
                && sound.mend(last.path()).is_ok()
                && files(last.path()).len() == sound.files.len()
        });
        if let Some(Self { directory, uses }) = last {
            return Self { directory, uses: uses + 1 };
        }
        let directory = directory();
        sound.lay(directory.path());
        Self { directory, uses: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// All files below a directory, sorted.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it was made here");
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.expect("entries can be read").path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect();
    all.sort_unstable();
    all
}

/// Reads `input` as edits: which file, how, where, how many bytes, and these. A file is written
/// over, in its head or anywhere, or cut, which is rarer: little is left then to look at.
pub(crate) fn apply(directory: &Path, mut input: &[u8]) {
    let files = files(directory);
    for _ in 0..EDITS_MAX {
        let Some((&[file, mode, a, b, c, d, length], rest)) = input.split_first_chunk::<7>() else {
            return;
        };
        let (bytes, after) = rest.split_at(usize::from(length).min(rest.len()));
        input = after;
        let Some(path) = files.get(usize::from(file) % files.len().max(1)) else { return };
        let Ok(file) = OpenOptions::new().write(true).open(path) else { continue };
        let size = file.metadata().map_or(0, |meta| meta.len());
        let bound = if mode & 1 == 0 { size.min(HEAD) } else { size };
        let place = u64::from(u32::from_le_bytes([a, b, c, d])) % bound.max(1);
        // A full disk of the machine that fuzzes is no finding.
        let done = match mode >> 1 & 15 {
            15 => file.set_len(place),
            _ => file.write_all_at(bytes, place),
        };
        done.expect("room in the temporary directory");
    }
}
