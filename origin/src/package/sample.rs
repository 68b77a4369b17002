//! `weir-origin sample`: a film to try things with, drawn and sounded by ffmpeg alone.
//!
//! A moving test picture with a running clock and frame counter, and a beep of 80 ms at the
//! start of each second over a rising tone, so that eye and ear tell whether picture and
//! sound are together. The same ffmpeg gives the same bytes.

use std::{ffi::OsString, fs, path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;

use super::{child::Stderr, error::PackageError, fail, say, tools::Tools};

/// What `weir-origin sample` is told.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// Length in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// File to write; what is there is replaced.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

const PICTURE: &str = "testsrc2=size=1280x720:rate=25";
const SOUND: &str = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.08)\
                     +0.06*sin(2*PI*(110+10*mod(t,8))*t)':sample_rate=48000:channel_layout=stereo";

/// Writes the sample film.
pub async fn run(args: Args) -> ExitCode {
    let mut signals = match super::Interrupt::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&PackageError::Signals(error)),
    };
    let part = part_of(&args.out);
    let outcome = tokio::select! {
        outcome = write(&args, &part) => outcome,
        () = signals.heard() => Err(PackageError::Interrupted),
    };
    match outcome {
        Ok(()) => {
            say(&format!("{}: {} s, 1280x720, 25 fps\n", args.out.display(), args.seconds), false);
            ExitCode::SUCCESS
        }
        Err(error) => {
            // It may not have come so far as to exist.
            let _ = fs::remove_file(&part);
            let code = if matches!(error, PackageError::Interrupted) { 130 } else { 1 };
            fail(&error);
            ExitCode::from(code)
        }
    }
}

async fn write(args: &Args, part: &PathBuf) -> Result<(), PackageError> {
    let tools = Tools::find()?;
    // Says at once, and in our words, when the place cannot be written to.
    fs::File::create(part).map_err(PackageError::io("write", &args.out))?;
    let mut command = tools.ffmpeg();
    let (seconds, sound) = (args.seconds.to_string(), SOUND);
    command.args(["-nostdin", "-nostats", "-y"]);
    command.args(["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", sound, "-t", &seconds]);
    // Two threads on every host: x264's output depends on their number.
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-threads", "2"]);
    command.args(["-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac", "-b:a", "160k"]);
    command.args(["-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact"]);
    let mut name = OsString::from("file:");
    name.push(part);
    command.args(["-movflags", "+faststart", "-f", "mp4"]).arg(name);
    let bad = |error: std::io::Error| PackageError::BadTool {
        program: "ffmpeg",
        reason: error.to_string(),
    };
    let mut child = command.spawn().map_err(bad)?;
    let mut stderr = Stderr::follow(child.stderr.take().expect("stderr is piped"));
    let status = child.wait().await.map_err(bad)?;
    let stderr = stderr.finish().await;
    if !status.success() {
        let what = "the sample film".into();
        return Err(PackageError::Ffmpeg { what, status: status.to_string(), stderr });
    }
    fs::rename(part, &args.out).map_err(PackageError::io("write", &args.out))
}

/// Beside the file, so that a rename makes it whole at once.
fn part_of(out: &PathBuf) -> PathBuf {
    let mut name = OsString::from(out);
    name.push(".part");
    name.into()
}
