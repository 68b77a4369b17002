//! Where in the files of a disk tier the bytes of self-proving objects lie, whatever the files'
//! format: cells are looked for at every place.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use weir_benches_content::{CELL, Cell};

/// Bytes read at once.
const WINDOW: usize = 4 << 20;
/// Cells in a chunk of the cache: a store may lay chunks of one object side by side.
const CHUNK_CELLS: u64 = (1 << 20) / CELL as u64;

/// Consecutive cells of one chunk of one object, one after the other in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The file.
    pub file: PathBuf,
    /// Where the first cell begins in it.
    pub at: u64,
    /// That cell.
    pub first: Cell,
    /// How many.
    pub cells: u64,
}

impl Run {
    /// Which object and which chunk of it.
    pub fn chunk(&self) -> (u64, u64) {
        (self.first.object, self.first.index / CHUNK_CELLS)
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.cells * CELL as u64
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells == 0
    }

    /// Behind its last byte in the file.
    pub fn end(&self) -> u64 {
        self.at + self.len()
    }
}

/// All runs in all files under `folder`.
pub fn scan(folder: &Path) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                scan_file(&entry.path(), &mut runs)?;
            }
        }
    }
    Ok(runs)
}

/// Chunks that lie in the files exactly once and as a whole, in one piece: damage to such a run
/// is damage to the only copy. `cells` says how many a chunk has.
pub fn only_copies(
    runs: Vec<Run>,
    cells: impl Fn(u64, u64) -> Option<u64>,
) -> HashMap<(u64, u64), Run> {
    let mut found: HashMap<(u64, u64), Option<Run>> = HashMap::new();
    for run in runs {
        let (object, chunk) = run.chunk();
        let whole = cells(object, chunk) == Some(run.cells) && run.cells > 0;
        // A second piece anywhere, of another copy or of the same, spoils it.
        let one = (whole && !found.contains_key(&(object, chunk))).then_some(run);
        found.insert((object, chunk), one);
    }
    found.into_iter().filter_map(|(chunk, run)| Some((chunk, run?))).collect()
}

fn scan_file(path: &Path, runs: &mut Vec<Run>) -> io::Result<()> {
    let file = File::open(path)?;
    let mut bytes = vec![0; WINDOW + CELL];
    let mut run: Option<Run> = None;
    // Of the window in the file, and in the window.
    let (mut base, mut at) = (0_u64, 0_usize);
    loop {
        let length = read_at(&file, &mut bytes, base)?;
        while at + CELL <= length {
            let window: &[u8; CELL] = bytes[at..at + CELL].try_into().expect("a cell's length");
            let zero = *window == [0; CELL];
            let Some(cell) = (!zero).then(|| Cell::decode(window)).flatten() else {
                runs.extend(run.take());
                // Free space is skipped fast; elsewhere the next cell may begin anywhere.
                at += if zero { CELL } else { 1 };
                continue;
            };
            let goes_on = run.as_ref().is_some_and(|run| {
                let next = Cell { index: run.first.index + run.cells, ..run.first };
                cell == next && cell.index % CHUNK_CELLS != 0
            });
            match &mut run {
                Some(run) if goes_on => run.cells += 1,
                _ => {
                    runs.extend(run.take());
                    let file = path.to_owned();
                    run = Some(Run { file, at: base + at as u64, first: cell, cells: 1 });
                }
            }
            at += CELL;
        }
        if length < bytes.len() {
            break;
        }
        base += at as u64;
        at = 0;
    }
    runs.extend(run);
    Ok(())
}

fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], at + length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use weir_benches_content::Content;

    use super::*;

    #[test]
    fn runs_are_found_at_any_place_and_copies_told() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (one, two) = (Content::new(1, 3, 640), Content::new(2, 1, 3 << 20));
        let mut file = vec![0xee; 77];
        file.extend_from_slice(&one.all());
        file.extend_from_slice(&vec![0; 9001]);
        file.extend_from_slice(&two.all());
        fs::write(dir.path().join("a"), &file).expect("writes");
        let mut runs = scan(dir.path()).expect("reads");
        runs.sort_by_key(|run| run.at);
        let places: Vec<_> = runs.iter().map(|run| (run.chunk(), run.at, run.len())).collect();
        let begin = 77 + 640 + 9001;
        let mib = 1 << 20;
        assert_eq!(
            places,
            [
                ((1, 0), 77, 640),
                ((2, 0), begin, mib),
                ((2, 1), begin + mib, mib),
                ((2, 2), begin + 2 * mib, mib)
            ]
        );
        let cells = |object: u64, _: u64| Some(if object == 1 { 20 } else { CHUNK_CELLS });
        assert_eq!(only_copies(runs.clone(), cells).len(), 4);
        // A second copy, of which nobody knows which one is used.
        runs.push(runs[0].clone());
        assert!(!only_copies(runs.clone(), cells).contains_key(&(1, 0)));
        // A damaged one is in two pieces.
        fs::write(dir.path().join("a"), &file[..file.len() - 1]).expect("writes");
        let runs = scan(dir.path()).expect("reads");
        assert!(!only_copies(runs, cells).contains_key(&(2, 2)));
    }
}
