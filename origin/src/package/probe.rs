//! Asking ffprobe what a file is, twice: for what its header says, and for the packets that
//! are really there.

use std::{path::Path, process::Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use weir_origin_media::{
    Source,
    probe::{self, Scan},
};

use super::{
    child::Stderr,
    error::PackageError,
    tools::{Tools, input},
};

/// Bytes of ffprobe's JSON that are read: a film has a dozen streams, not thousands.
const LONGEST_ANSWER: u64 = 4 << 20;
/// Bytes of a line about a packet.
const LONGEST_LINE: u64 = 64 << 10;

/// Refuses what cannot be a film before any program looks at it; its size in bytes.
pub(super) fn check_file(file: &Path) -> Result<u64, PackageError> {
    let meta = match std::fs::metadata(file) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(PackageError::Missing(file.into()));
        }
        Err(error) => return Err(PackageError::io("read", file)(error)),
    };
    if meta.is_dir() {
        return Err(PackageError::Directory(file.into()));
    }
    if !meta.is_file() {
        return Err(PackageError::NotRegular(file.into()));
    }
    if meta.len() == 0 {
        return Err(PackageError::Empty(file.into()));
    }
    std::fs::File::open(file).map_err(PackageError::io("open", file))?;
    Ok(meta.len())
}

/// Probes an absolute path.
pub(super) async fn probe(tools: &Tools, file: &Path) -> Result<Source, PackageError> {
    let mut source = header(tools, file).await?;
    let scan = packets(tools, file, &source).await?;
    scan.apply(&mut source).map_err(|source| PackageError::Scan { file: file.into(), source })?;
    Ok(source)
}

async fn header(tools: &Tools, file: &Path) -> Result<Source, PackageError> {
    let unreadable = |reason| PackageError::Unreadable { file: file.into(), reason };
    let mut command = tools.ffprobe();
    command.args(["-show_format", "-show_streams", "-of", "json"]).args(input(file));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| PackageError::BadTool { program: "ffprobe", reason: error.to_string() })?;
    let mut stderr = Stderr::follow(child.stderr.take().expect("stderr is piped"));
    let mut json = Vec::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    stdout
        .take(LONGEST_ANSWER)
        .read_to_end(&mut json)
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let status = child.wait().await.map_err(|error| unreadable(error.to_string()))?;
    if !status.success() {
        return Err(unreadable(plain(&stderr.finish().await, file)));
    }
    probe::parse(&json).map_err(|source| PackageError::Probe { file: file.into(), source })
}

async fn packets(tools: &Tools, file: &Path, source: &Source) -> Result<Scan, PackageError> {
    let unreadable = |reason| PackageError::Unreadable { file: file.into(), reason };
    let mut command = tools.ffprobe();
    command
        .args(["-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags"])
        .args(["-of", "compact=p=0"])
        .args(input(file));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| PackageError::BadTool { program: "ffprobe", reason: error.to_string() })?;
    let mut stderr = Stderr::follow(child.stderr.take().expect("stderr is piped"));
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut scan = Scan::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line).await;
        if read.map_err(|error| unreadable(error.to_string()))? == 0 {
            break;
        }
        scan.line(source, &String::from_utf8_lossy(&line));
    }
    let status = child.wait().await.map_err(|error| unreadable(error.to_string()))?;
    if !status.success() {
        return Err(unreadable(plain(&stderr.finish().await, file)));
    }
    Ok(scan)
}

/// ffprobe's complaint without the file's name, which stands before it already.
fn plain(complaint: &str, file: &Path) -> String {
    let name = format!("file:{}: ", file.display());
    let text = complaint.replace(&name, "");
    if text.is_empty() { "ffprobe does not say why".into() } else { text }
}
