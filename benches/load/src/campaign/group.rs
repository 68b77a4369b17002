//! A memory group: one server and its page cache together under one limit, as root.
//!
//! Version 1 of the memory controller and version 2 are both spoken; both count the page cache
//! that a member brings in.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::error::CampaignError;

const ROOT: &str = "/sys/fs/cgroup";

/// A group of its own. Removed when dropped, after its members have ended.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// Makes one of `limit` bytes; swap is no way out.
    pub fn new(name: &str, limit: u64) -> Result<Self, CampaignError> {
        let v1 = Path::new(ROOT).join("memory");
        let (parent, file) = if v1.join("memory.limit_in_bytes").is_file() {
            (v1, "memory.limit_in_bytes")
        } else {
            (PathBuf::from(ROOT), "memory.max")
        };
        let path = parent.join(format!("weir-{name}-{}", std::process::id()));
        fs::create_dir(&path).map_err(|source| unfit(&path, &source))?;
        let group = Self { path };
        let limited = group.path.join(file);
        fs::write(&limited, limit.to_string()).map_err(|source| unfit(&limited, &source))?;
        // Not every kernel counts swap, and not every machine has any.
        drop(fs::write(group.path.join("memory.swap.max"), "0"));
        drop(fs::write(group.path.join("memory.swappiness"), "0"));
        Ok(group)
    }

    /// Where it is: for [`command`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The most that its members and their page cache had at once, in bytes.
    pub fn peak(&self) -> Option<u64> {
        let files = ["memory.max_usage_in_bytes", "memory.peak"];
        let text = files.iter().find_map(|file| fs::read_to_string(self.path.join(file)).ok())?;
        text.trim().parse().ok()
    }

    /// Whether the kernel killed a member for want of memory.
    pub fn killed(&self) -> bool {
        let files = ["memory.oom_control", "memory.events"];
        let text = files.iter().find_map(|file| fs::read_to_string(self.path.join(file)).ok());
        let kills = text.as_deref().unwrap_or_default().lines().find_map(|line| {
            line.strip_prefix("oom_kill ").and_then(|count| count.trim().parse::<u64>().ok())
        });
        kills.unwrap_or(0) > 0
    }

    /// Gives the page cache of the group back, so that what is read next comes from the device.
    pub fn drop_page_cache(&self) {
        // Where it cannot be done the working set is several times the limit all the same.
        drop(fs::write(self.path.join("memory.force_empty"), "0"));
        drop(fs::write(self.path.join("memory.reclaim"), "64G"));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(fs::write(self.path.join("memory.force_empty"), "0"));
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn unfit(path: &Path, source: &io::Error) -> CampaignError {
    CampaignError::Unfit(format!(
        "cannot make a memory group ({}: {source}): this campaign needs root and the memory \
         controller, because both servers shall have the same memory with their page cache in it",
        path.display()
    ))
}

/// A command that starts `program` in a group and on a core, where they are given. The process
/// is the program's own: its id is the one to ask for.
pub fn command(group: Option<&Path>, core: Option<usize>, program: &Path) -> Command {
    let mut words: Vec<std::ffi::OsString> = Vec::new();
    if let Some(group) = group {
        // Whoever is in the group before the program starts has all its memory counted.
        let enter = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
        words.extend(["sh".into(), "-c".into(), enter.into(), group.into()]);
    }
    if let Some(core) = core {
        words.extend(["taskset".into(), "-c".into(), core.to_string().into()]);
    }
    words.push(program.into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_comes_last() {
        let check = |group: Option<&str>, core, expected: &[&str]| {
            let command = command(group.map(Path::new), core, Path::new("/bin/x"));
            let arguments: Vec<_> = command.get_args().filter(|word| *word != "-c").collect();
            assert_eq!(command.get_program(), expected[0]);
            assert_eq!(arguments.last().copied(), expected.get(1).map(std::ffi::OsStr::new));
        };
        check(None, None, &["/bin/x"]);
        check(None, Some(1), &["taskset", "/bin/x"]);
        check(Some("/g"), None, &["sh", "/bin/x"]);
        check(Some("/g"), Some(0), &["sh", "/bin/x"]);
    }
}
