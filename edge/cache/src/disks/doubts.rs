//! What is odd about disks, though no mistake: said before anything is opened.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::folder::device;

/// A file system and what is to be kept on it.
#[derive(Debug, Default)]
struct Shared {
    paths: Vec<PathBuf>,
    wanted: u64,
    total: u64,
}

/// One line for each thing that a person should know of these folders and sizes. Looks at
/// file systems only; a folder that is not there counts for where it would be made.
pub fn doubts(disks: &[(PathBuf, u64)]) -> Vec<String> {
    let mut systems = BTreeMap::<u64, Shared>::new();
    for (path, size) in disks {
        // What cannot be looked at is told when it is opened.
        let Ok((device, total)) = system_of(path) else { continue };
        let shared = systems.entry(device).or_default();
        shared.paths.push(path.clone());
        shared.wanted = shared.wanted.saturating_add(*size);
        shared.total = total;
    }
    systems.values().flat_map(said).collect()
}

fn said(shared: &Shared) -> Vec<String> {
    const GIB: f64 = (1_u64 << 30) as f64;
    let names: Vec<_> = shared.paths.iter().map(|path| path.display().to_string()).collect();
    let names = names.join(" and ");
    let mut said = Vec::new();
    if shared.paths.len() > 1 {
        said.push(format!("{names} are on one file system: they are one disk, and fail together"));
    }
    if shared.wanted > shared.total {
        said.push(format!(
            "{names} shall hold {:.1} GiB, and the file system there has {:.1} GiB in all",
            shared.wanted as f64 / GIB,
            shared.total as f64 / GIB
        ));
    }
    said
}

fn system_of(path: &Path) -> io::Result<(u64, u64)> {
    let there = path.ancestors().find(|path| path.exists());
    let there = there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let system = rustix::fs::statvfs(there)?;
    Ok((device(path)?, system.f_blocks.saturating_mul(system.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_file_system() {
        let check = |paths: &[&str], wanted: u64, expected: &[&str]| {
            let paths = paths.iter().map(PathBuf::from).collect();
            assert_eq!(said(&Shared { paths, wanted, total: 10 << 30 }), expected);
        };
        check(&["/a"], 10 << 30, &[]);
        check(
            &["/a", "/b"],
            1,
            &["/a and /b are on one file system: they are one disk, and fail together"],
        );
        check(
            &["/a"],
            11 << 30,
            &["/a shall hold 11.0 GiB, and the file system there has 10.0 GiB in all"],
        );
    }

    #[test]
    fn folders_that_are_not_there_count_for_where_they_would_be() {
        let folder = tempfile::tempdir().unwrap();
        let disk = |name: &str, size| (folder.path().join(name), size);
        assert_eq!(doubts(&[disk("a/b", 1)]), Vec::<String>::new());
        assert_eq!(doubts(&[disk("a/b", 1), disk("c", 1)]).len(), 1);
        assert_eq!(doubts(&[disk("a/b", u64::MAX), disk("c", 1)]).len(), 2);
    }
}
