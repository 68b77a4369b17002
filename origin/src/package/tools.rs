//! ffmpeg and ffprobe: where they are, and how they are started.
//!
//! They run nice, they read nothing but the given file, and they die with us: by the parent
//! death signal where `setpriv` is there to set it, and else by writing into a closed pipe.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use super::error::PackageError;

/// What a film may come in. Everything else is refused before it is parsed: playlists and
/// scripts among ffmpeg's formats make it open other files and addresses.
const CONTAINERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,\
                          asf,ogg,mxf,nut,gif,yuv4mpegpipe,dv,ivf,h264,hevc,m4v,wav,mp3,flac,aac";

/// The programs that packaging needs.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
    setpriv: Option<PathBuf>,
    nice: Option<PathBuf>,
}

impl Tools {
    /// Looks for them in `PATH`.
    pub(super) fn find() -> Result<Self, PackageError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let need = |program| in_path(&path, program).ok_or(PackageError::NoTool { program });
        Ok(Self {
            ffmpeg: need("ffmpeg")?,
            ffprobe: need("ffprobe")?,
            setpriv: in_path(&path, "setpriv"),
            nice: in_path(&path, "nice"),
        })
    }

    /// First line of `ffmpeg -version`: part of what makes a version.
    pub(super) async fn version(&self) -> Result<String, PackageError> {
        let bad = |reason: String| PackageError::BadTool { program: "ffmpeg", reason };
        let mut command = self.command(&self.ffmpeg);
        command.arg("-version").stdout(Stdio::piped());
        let output = command.output().await.map_err(|error| bad(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().next() {
            Some(line) if output.status.success() => Ok(line.to_owned()),
            _ => Err(bad(output.status.to_string())),
        }
    }

    pub(super) fn ffmpeg(&self) -> Command {
        let mut command = self.command(&self.ffmpeg);
        command.args(["-hide_banner", "-loglevel", "error"]);
        command
    }

    pub(super) fn ffprobe(&self) -> Command {
        let mut command = self.command(&self.ffprobe);
        command.args(["-hide_banner", "-loglevel", "error"]);
        command
    }

    fn command(&self, program: &Path) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(setpriv) = &self.setpriv {
            words.extend([setpriv.into(), "--pdeathsig".into(), "KILL".into(), "--".into()]);
        }
        if let Some(nice) = &self.nice {
            words.extend([nice.into(), "-n".into(), "10".into()]);
        }
        words.push(program.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// Arguments that open `file` as a film, and nothing else through it. `file:` keeps ffmpeg
/// from taking a colon in a name for a protocol.
pub(super) fn input(file: &Path) -> Vec<OsString> {
    let mut name = OsString::from("file:");
    name.push(file);
    let words = ["-protocol_whitelist", "file,pipe", "-format_whitelist", CONTAINERS, "-i"];
    words.into_iter().map(OsString::from).chain([name]).collect()
}

fn in_path(path: &OsStr, program: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|candidate| {
        candidate
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}
