//! What the trial runs: `systemd-nspawn` as the host has it, or out of Debian's package without
//! installing that, since another systemd for the host would come with it.

use std::path::{Path, PathBuf};

use crate::{
    Failure, apt, files,
    run::{Run, find},
    say, tools,
};

/// `systemd-nspawn`, and the library that it shares with systemd in the same version.
const PACKAGES: [&str; 2] = ["systemd-container", "libsystemd-shared"];

/// The programs of the trial.
#[derive(Debug)]
pub(super) struct Programs {
    nspawn: PathBuf,
    /// The folder of its library, when it is not the host's.
    library: Option<PathBuf>,
}

impl Programs {
    /// Finds or fetches them; the error says why the trial cannot run here.
    pub(super) fn bring(log: &Path) -> Result<Self, Failure> {
        if !rustix::process::getuid().is_root() {
            return Err(Failure::new("a container with a systemd of its own needs root"));
        }
        if find("script").is_none() {
            return Err(Failure::new("there is no `script` here; Debian's bsdutils has it"));
        }
        let programs = match find("systemd-nspawn") {
            Some(nspawn) => Self { nspawn, library: None },
            None => Self::unpacked(log)?,
        };
        apt::ensure(&[apt::MMDEBSTRAP], log)?;
        let mut version = Run::new(&programs.nspawn).arg("--version");
        if let Some(library) = &programs.library {
            version = version.env("LD_LIBRARY_PATH", library);
        }
        version.output()?;
        Ok(programs)
    }

    /// Out of Debian's packages, once.
    fn unpacked(log: &Path) -> Result<Self, Failure> {
        let dir = tools::cache()?.join("nspawn");
        let programs = dir.join("root/usr/bin/systemd-nspawn");
        tools::once(&dir.join("stamp"), PACKAGES.join(" ").as_bytes(), || {
            if find("apt-get").is_none() {
                return Err(Failure::new("there is neither systemd-nspawn nor apt-get here"));
            }
            files::remove(&dir)?;
            files::directory(&dir)?;
            say::step("Fetching systemd-nspawn, which is not installed", || {
                let apt = || Run::new("apt-get").dir(&dir);
                // Packages of another day may be gone.
                apt().args(["update"]).quiet(log)?;
                apt().arg("download").args(PACKAGES).quiet(log)?;
                for package in debs(&dir)? {
                    Run::new("dpkg-deb").arg("-x").arg(package).arg(dir.join("root")).quiet(log)?;
                }
                Ok(())
            })
        })?;
        let library = library(&dir.join("root/usr/lib"))?;
        Ok(Self { nspawn: programs, library: Some(library) })
    }

    /// How a shell starts it.
    pub(super) fn nspawn(&self) -> Result<String, Failure> {
        let nspawn = quoted(&self.nspawn)?;
        match &self.library {
            None => Ok(nspawn),
            // It hands nothing of its environment to the container.
            Some(library) => Ok(format!("LD_LIBRARY_PATH={} {nspawn}", quoted(library)?)),
        }
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    };
    read().map_err(|why| Failure::path("list", dir, &why))
}

fn debs(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    Ok(entries(dir)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "deb"))
        .collect())
}

/// `lib/<architecture>/systemd`.
fn library(lib: &Path) -> Result<PathBuf, Failure> {
    let found = entries(lib)?.into_iter().map(|architecture| architecture.join("systemd"));
    let found = found.into_iter().find(|dir| {
        entries(dir).is_ok_and(|files| {
            files.iter().any(|file| file.to_string_lossy().contains("libsystemd-shared-"))
        })
    });
    found.ok_or_else(|| Failure::new(format!("{} holds no libsystemd-shared", lib.display())))
}

/// For the shell that `script` starts.
pub(super) fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.contains('\''));
    let text = text.ok_or_else(|| {
        Failure::new(format!("{}: the trial needs a plainer folder", path.display()))
    })?;
    Ok(format!("'{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_as_a_shell_reads_it() {
        assert_eq!(quoted(Path::new("/a b")).expect("plain"), "'/a b'");
        assert!(quoted(Path::new("/a'b")).is_err());
        let unpacked = Programs { nspawn: "/c/n".into(), library: Some("/c/l".into()) };
        assert_eq!(unpacked.nspawn().expect("plain"), "LD_LIBRARY_PATH='/c/l' '/c/n'");
    }

    #[test]
    fn the_library_is_found_whatever_the_architecture() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let lib = dir.path().join("aarch64-linux-gnu/systemd");
        std::fs::create_dir_all(dir.path().join("systemd")).expect("made");
        std::fs::create_dir_all(&lib).expect("made");
        assert!(library(dir.path()).is_err());
        std::fs::write(lib.join("libsystemd-shared-252.so"), "").expect("written");
        assert_eq!(library(dir.path()).expect("found"), lib);
    }
}
