//! What was written is decoded again before anything is published: the whole rendition, as a
//! player would get it, with not one complaint of the decoder and not one picture missing.

use std::{io, path::Path, process::Stdio};

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use weir_origin_media::{Rendition, RenditionKind};

use super::{child::Stderr, cut::Piece, error::PackageError, tools::Tools};

/// Reads every file of a rendition, compares it with the checksum made when it was written,
/// and decodes them all in order. `told` hears how many segments are through.
pub(super) async fn rendition(
    tools: &Tools,
    root: &Path,
    rendition: &Rendition,
    pieces: &[Piece],
    mut told: impl FnMut(usize),
) -> Result<(), PackageError> {
    let mut command = tools.ffmpeg();
    command.args(["-nostats", "-progress", "pipe:2", "-xerror", "-err_detect", "explode"]);
    command.args(["-protocol_whitelist", "pipe", "-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2"]);
    command.args(["-f", "mp4", "-i", "pipe:0", "-fps_mode", "passthrough", "-f", "null", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| PackageError::BadTool { program: "ffmpeg", reason: error.to_string() })?;
    let mut stderr = Stderr::follow(child.stderr.take().expect("stderr is piped"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let mut last = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        let file = root.join(&piece.path);
        let bytes = tokio::fs::read(&file).await.map_err(PackageError::io("read", file))?;
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != piece.sha256 {
            return Err(PackageError::Altered { path: piece.path.clone() });
        }
        last.clone_from(&piece.path);
        match stdin.write_all(&bytes).await {
            Ok(()) => told(at),
            // It gave up; its complaint says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => {
                return Err(PackageError::io("send to ffmpeg", piece.path.clone())(error));
            }
        }
    }
    drop(stdin);
    let status = child.wait().await.map_err(PackageError::io("wait for", "ffmpeg"))?;
    let said = stderr.finish().await;
    let undecodable = |what: String, stderr: String| PackageError::Undecodable {
        rendition: rendition.id.clone(),
        what,
        stderr,
    };
    if !status.success() || !said.is_empty() {
        let said = if said.is_empty() { status.to_string() } else { said };
        return Err(undecodable(format!("something up to {last}"), said));
    }
    let pictures = matches!(rendition.kind, RenditionKind::Video { .. });
    if pictures && stderr.frames() != rendition.samples() {
        let counted = format!("{} pictures of {}", stderr.frames(), rendition.samples());
        return Err(undecodable("a part".into(), format!("only {counted} came out")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
