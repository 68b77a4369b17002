//! A child's last words, and how far it has come.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::JoinHandle,
};

/// Lines kept of what a child complains; the last ones say why it ended.
const KEPT_LINES: usize = 12;
/// Bytes kept of a line.
const KEPT_BYTES: usize = 400;

/// Follows the stderr of ffmpeg with `-progress pipe:2`: figures in between, complaints kept.
#[derive(Debug)]
pub(super) struct Stderr {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Microseconds of film that are through.
    micros: AtomicU64,
    frames: AtomicU64,
    lines: Mutex<Vec<String>>,
}

impl Stderr {
    pub(super) fn follow(pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        Self { task: tokio::spawn(read(pipe, Arc::clone(&shared))), shared }
    }

    /// Microseconds of film that are through.
    pub(super) fn micros(&self) -> u64 {
        self.shared.micros.load(Ordering::Relaxed)
    }

    /// Frames that are through.
    pub(super) fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Relaxed)
    }

    /// What the child complained of, once its stderr is closed; empty where of nothing.
    pub(super) async fn finish(&mut self) -> String {
        // A task that died of a panic has read what it has read.
        let _ = (&mut self.task).await;
        self.complaints()
    }

    /// What it has complained of so far.
    pub(super) fn complaints(&self) -> String {
        self.shared.lines.lock().map_or_else(|_| String::new(), |lines| lines.join("; "))
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(mut pipe: impl AsyncRead + Unpin, shared: Arc<Shared>) {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        for byte in &chunk[..length] {
            match byte {
                b'\n' | b'\r' => {
                    shared.take(&String::from_utf8_lossy(&line));
                    line.clear();
                }
                byte if line.len() < KEPT_BYTES => line.push(*byte),
                _ => {}
            }
        }
    }
    shared.take(&String::from_utf8_lossy(&line));
}

impl Shared {
    fn take(&self, line: &str) {
        let line = line.trim();
        if line.is_empty() || self.figure(line) {
            return;
        }
        if let Ok(mut lines) = self.lines.lock()
            && lines.last().is_none_or(|last| last != line)
        {
            if lines.len() == KEPT_LINES {
                lines.remove(0);
            }
            lines.push(line.to_owned());
        }
    }

    /// Whether the line belongs to a progress report.
    fn figure(&self, line: &str) -> bool {
        let Some((name, value)) = line.split_once('=') else { return false };
        match name {
            // `N/A` until something is through.
            "out_time_us" => {
                let micros = value.trim().parse::<i64>().unwrap_or(0);
                self.micros.fetch_max(u64::try_from(micros).unwrap_or(0), Ordering::Relaxed);
            }
            "frame" => {
                self.frames.fetch_max(value.trim().parse().unwrap_or(0), Ordering::Relaxed);
            }
            "fps" | "bitrate" | "total_size" | "out_time_ms" | "out_time" | "dup_frames"
            | "drop_frames" | "speed" | "progress" => {}
            _ => return name.starts_with("stream_") && name.ends_with("_q"),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn figures_are_counted_and_complaints_kept() {
        let text = b"frame=3\nfps=0.00\nstream_0_0_q=-1.0\nout_time_us=N/A\nspeed=N/A\n\
            [mov @ 0x1] partial file\n[mov @ 0x1] partial file\nframe= 60\r\
            out_time_us=2000000\nout_time_us=1000000\nkey = 5 is wrong\nprogress=end\nlast word";
        let mut stderr = Stderr::follow(&text[..]);
        let said = stderr.finish().await;
        assert_eq!(said, "[mov @ 0x1] partial file; key = 5 is wrong; last word");
        assert_eq!((stderr.frames(), stderr.micros()), (60, 2_000_000));
    }

    #[tokio::test]
    async fn a_talkative_child_is_bounded() {
        let mut text = vec![b'x'; 1 << 20];
        text.push(b'\n');
        for n in 0..1000 {
            text.extend_from_slice(format!("line {n}\n").as_bytes());
        }
        let mut stderr = Stderr::follow(std::io::Cursor::new(text));
        let said = stderr.finish().await;
        assert!(said.len() < KEPT_LINES * (KEPT_BYTES + 2), "{}", said.len());
        assert!(said.ends_with("line 999"), "{said}");
    }
}
