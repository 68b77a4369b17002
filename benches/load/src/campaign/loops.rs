//! Disks that can be broken: XFS on loop devices over files in memory, as root.
//!
//! A backing file that is cut short fails reads beyond its end, and its tmpfs is made so small
//! that writes cannot make it grow again. Everything is mounted in a
//! mount namespace of its own ([`enter`]), and so goes with the process, however that ends.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::error::CampaignError;

/// Marks the process that runs inside.
const INSIDE: &str = "WEIR_BENCH_MOUNTS";
/// What takes part, and where Debian has it.
const TOOLS: [(&str, &str); 4] =
    [("mkfs.xfs", "xfsprogs"), ("mount", "mount"), ("umount", "mount"), ("losetup", "mount")];

/// Runs this program again where its mounts are nobody else's. An error says why this host
/// cannot have such disks.
pub fn enter() -> Result<(), String> {
    for (tool, package) in TOOLS {
        if Command::new(tool).arg("--version").output().is_err()
            && Command::new(tool).arg("-V").output().is_err()
        {
            return Err(format!("there is no `{tool}`: on Debian, `apt-get install {package}`"));
        }
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there are no loop devices here (/dev/loop-control)".into());
    }
    let own = ["--mount", "--propagation", "private"];
    if env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let allowed = Command::new("unshare").args(own).arg("true").output();
    if !allowed.is_ok_and(|done| done.status.success()) {
        return Err("only root may mount, and this is not root".into());
    }
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let again = Command::new("unshare")
        .args(own)
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    // Returns only when it failed.
    Err(format!("no mounts of its own: {again}"))
}

/// One breakable disk, mounted.
#[derive(Debug)]
pub struct Loop {
    /// Where its backing file is: a tmpfs of its own.
    memory: PathBuf,
    mounted: PathBuf,
}

impl Loop {
    /// Makes a disk of `mib` and mounts it at `at`. XFS takes 300 MiB at least.
    pub fn mount(place: &Path, at: &Path, number: usize, mib: u64) -> Result<Self, CampaignError> {
        let memory = place.join(format!("memory{number}"));
        for folder in [&memory, &at.to_owned()] {
            fs::create_dir_all(folder)
                .map_err(|source| CampaignError::File { path: folder.clone(), source })?;
        }
        // A little more than the file: metadata of the tmpfs itself.
        let size = format!("size={}m", mib + 8);
        run("mount", ["-t", "tmpfs", "-o", &size, "tmpfs", &text(&memory)])?;
        let disk = Self { memory, mounted: at.to_owned() };
        let file = disk.file();
        let made = File::create(&file).and_then(|made| made.set_len(mib << 20));
        made.map_err(|source| CampaignError::File { path: file.clone(), source })?;
        run("mkfs.xfs", ["-q", "-f", &text(&file)])?;
        run("mount", ["-o", "loop", &text(&file), &text(at)])?;
        Ok(disk)
    }

    fn file(&self) -> PathBuf {
        self.memory.join("disk.img")
    }

    /// It dies: reads and writes fail from now on.
    pub fn die(&self) -> Result<(), CampaignError> {
        let file = self.file();
        // A write that comes in between takes a page back, and the memory is not empty then.
        let mut tried = 0;
        loop {
            let cut = OpenOptions::new().write(true).open(&file).and_then(|cut| cut.set_len(0));
            cut.map_err(|source| CampaignError::File { path: file.clone(), source })?;
            // No page may come back later: what was cut off would read as zeros, not fail.
            match run("mount", ["-o", "remount,size=64k", &text(&self.memory)]) {
                Err(_) if tried < 100 => tried += 1,
                done => return done,
            }
        }
    }

    /// A foreign file takes all the room that is left on it.
    pub fn crowd(&self) -> Result<(), CampaignError> {
        fill(&self.mounted.join("foreign"))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // In this order, and as far as it goes; what is left goes with the namespace.
        for path in [&self.mounted, &self.memory] {
            drop(Command::new("umount").arg("--lazy").arg(path).output());
        }
    }
}

/// Writes until there is no room.
fn fill(path: &Path) -> Result<(), CampaignError> {
    let zeros = vec![0; 1 << 20];
    let mut file =
        File::create(path).map_err(|source| CampaignError::File { path: path.into(), source })?;
    let mut piece = zeros.as_slice();
    while !piece.is_empty() {
        match file.write(piece) {
            Ok(_) => {}
            // Down to the last page.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                piece = &piece[..piece.len() / 2];
            }
            Err(source) => return Err(CampaignError::File { path: path.into(), source }),
        }
    }
    Ok(())
}

fn run<const N: usize>(program: &'static str, arguments: [&str; N]) -> Result<(), CampaignError> {
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|source| CampaignError::Tool { program, package: "mount", source })?;
    if done.status.success() {
        return Ok(());
    }
    Err(CampaignError::Unfit(format!(
        "`{program} {}` failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr).trim()
    )))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
