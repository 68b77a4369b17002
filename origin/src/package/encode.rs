//! One ffmpeg child for each rung, its output cut as it comes.

use std::{ffi::OsString, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt,
    time::{Instant, MissedTickBehavior, interval},
};
use weir_origin_media::{AudioRung, Plan, Source, VideoRung};

use super::{
    child::Stderr,
    cut::Cutter,
    error::PackageError,
    tools::{Tools, input},
};

/// A child that gets no further for so long is taken for dead. At the slowest a frame of a
/// large picture takes a second on a busy host, and progress is told by the frame.
const STALL: Duration = Duration::from_secs(120);
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How pictures are encoded, but for size and rate. In the version's digest, like everything
/// here: see [`settings`].
const X264: [&str; 8] =
    ["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-crf", "23"];

/// Everything that decides over the bytes, in words: what the version is made from.
pub(super) fn settings(source: &Source, plan: &Plan, threads: usize) -> String {
    let mut words = vec![format!("{plan:?}")];
    for rung in &plan.video {
        words.extend(video(source, plan, rung, threads));
    }
    if let (Some(rung), Some(audio)) = (&plan.audio, &source.audio) {
        words.extend(sound(audio.index, plan, rung));
    }
    words.join("\n")
}

/// Arguments of a picture rung, between the input and the output.
pub(super) fn video(source: &Source, plan: &Plan, rung: &VideoRung, threads: usize) -> Vec<String> {
    let mut filters = Vec::new();
    if source.video.interlaced {
        filters.push("bwdif=mode=send_frame".to_owned());
    }
    // From zero on, so that every rung starts where the sound does. The last frame may be
    // repeated; how many there are in all is said below, because the filter's own rounding
    // of the end loses a frame, or gains one that is a segment by itself.
    filters.push(format!("fps=fps={}:start_time=0:round=near:eof_action=pass", plan.rate));
    if plan.hold_last > 0 {
        let held = seconds(plan.hold_last);
        filters.push(format!("tpad=stop_mode=clone:stop_duration={held}"));
    }
    filters.push(format!("scale={}:{}:flags=bicubic", rung.width, rung.height));
    filters.push("setsar=1,format=yuv420p".to_owned());
    let gop = plan.gop_frames;
    let words = [
        "-map".into(),
        format!("0:{}", source.video.index),
        "-map_metadata".into(),
        "-1".into(),
        "-map_chapters".into(),
        "-1".into(),
        "-vf".into(),
        filters.join(","),
    ];
    let rate = [
        "-maxrate".into(),
        rung.max_bits_per_second.to_string(),
        "-bufsize".into(),
        (u64::from(rung.max_bits_per_second) * 3 / 2).to_string(),
        "-x264-params".into(),
        // An IDR picture every so many frames and nowhere else: that is the grid.
        format!("keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0"),
        "-frames:v".into(),
        plan.frames().to_string(),
        "-threads".into(),
        threads.to_string(),
        "-video_track_timescale".into(),
        plan.rate.timescale().to_string(),
    ];
    words.into_iter().chain(X264.map(String::from)).chain(rate).collect()
}

/// Arguments of a sound rung, between the input and the output.
pub(super) fn sound(index: u32, plan: &Plan, rung: &AudioRung) -> Vec<String> {
    let filter = format!(
        "aresample={}:async=1:first_pts=0,apad=pad_dur={}",
        rung.sample_rate,
        seconds(plan.pad_audio)
    );
    let words = [
        ("-map", format!("0:{index}")),
        ("-map_metadata", "-1".into()),
        ("-map_chapters", "-1".into()),
        ("-af", filter),
        ("-c:a", "aac".into()),
        ("-b:a", rung.bits_per_second.to_string()),
        ("-ac", rung.channels.to_string()),
        ("-ar", rung.sample_rate.to_string()),
        ("-t", seconds(plan.duration)),
    ];
    words.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

/// Runs one encoder to its end. `told` hears how many microseconds of film are through.
pub(super) async fn run(
    tools: &Tools,
    file: &Path,
    what: &str,
    arguments: &[String],
    threads: usize,
    cutter: &mut Cutter,
    mut told: impl FnMut(u64),
) -> Result<(), PackageError> {
    let failed = |status: String, stderr: String| {
        let stderr = if stderr.is_empty() { "it did not say why".into() } else { stderr };
        PackageError::Ffmpeg { what: what.into(), status, stderr }
    };
    let mut command = tools.ffmpeg();
    command.args(["-nostdin", "-nostats", "-stats_period", "0.25", "-progress", "pipe:2"]);
    // Threads of the decoder and of the filters are as many as those of the encoder.
    let count = OsString::from(threads.to_string());
    command.arg("-filter_threads").arg(&count).arg("-threads").arg(&count);
    command.args(input(file)).args(arguments);
    // A fragment for each GOP, timestamps from zero without an edit list, nothing that
    // differs from run to run; into a pipe, so that a child whose parent is gone ends.
    let flags = "+frag_keyframe+empty_moov+default_base_moof+cmaf";
    command.args(["-fflags", "+bitexact", "-flags", "+bitexact", "-f", "mp4"]);
    command.args(["-movflags", flags, "pipe:1"]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| PackageError::BadTool { program: "ffmpeg", reason: error.to_string() })?;
    let mut stderr = Stderr::follow(child.stderr.take().expect("stderr is piped"));
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut moved = (Instant::now(), 0, 0);
    let mut received = 0u64;
    let mut chunk = vec![0; 256 << 10];
    loop {
        tokio::select! {
            read = stdout.read(&mut chunk) => {
                let length = read.map_err(|error| failed("its output broke off".into(), error.to_string()))?;
                if length == 0 {
                    break;
                }
                received += length as u64;
                cutter.feed(&chunk[..length])?;
            }
            now = looks.tick() => {
                let through = stderr.micros().max(stderr.frames());
                if (through, received) != (moved.1, moved.2) {
                    moved = (now, through, received);
                } else if now - moved.0 > STALL {
                    let stderr = stderr.complaints();
                    return Err(PackageError::Stalled { what: what.into(), after: STALL, stderr });
                }
                told(stderr.micros());
            }
        }
    }
    let status = child
        .wait()
        .await
        .map_err(|error| failed("its end was not told".into(), error.to_string()))?;
    let said = stderr.finish().await;
    if !status.success() {
        return Err(failed(status.to_string(), said));
    }
    told(u64::MAX);
    Ok(())
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
