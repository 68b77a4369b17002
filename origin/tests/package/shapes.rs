//! Films of all rates and shapes.

use super::bench::{Bench, decoded_frames, lengths};

/// Lengths of the segments of the top rung, its frames, and its size, as published.
fn check(name: &str, clip: &str, segments: &[u64], frames: u64, size: &str, rate: &str) {
    let bench = Bench::new();
    let file = bench.clip(name, clip);
    let result = bench.publish(&file, "--segment 2s --title x");
    let out = bench.export().join("x").join(result["version"].as_str().expect("a version"));
    let read = |path: &str| std::fs::read_to_string(out.join(path)).expect("is there");
    let top = result["renditions"][0].as_str().expect("a rung");
    assert_eq!(lengths(&read(&format!("{top}/index.m3u8"))), segments, "{name}");
    assert_eq!(decoded_frames(&out.join(top).join("index.m3u8"), "v:0"), frames, "{name}");
    let mpd = read("manifest.mpd");
    let (width, height) = size.split_once('x').expect("a size");
    let shape = format!("maxWidth=\"{width}\" maxHeight=\"{height}\" frameRate=\"{rate}\"");
    assert!(mpd.contains(&shape), "{name}: {shape} in {mpd}");
    // Without sound nothing speaks of sound.
    let silent = result["renditions"]
        .as_array()
        .expect("rungs")
        .iter()
        .all(|r| r.as_str().is_some_and(|name| name.starts_with('v')));
    assert_eq!(mpd.contains("contentType=\"audio\""), !silent, "{name}");
    assert_eq!(read("master.m3u8").contains("AUDIO"), !silent, "{name}");
}

const FAST: &str = "-c:v libx264 -preset ultrafast";

#[test]
fn film_rate() {
    let clip = format!("-f lavfi -i testsrc2=s=160x90:r=24000/1001:d=3.003 {FAST}");
    check("a.mp4", &clip, &[2_002_000, 1_001_000], 72, "160x90", "24000/1001");
}

#[test]
fn ntsc_rate_with_sound() {
    let clip = format!(
        "-f lavfi -i testsrc2=s=160x90:r=30000/1001:d=3.003 -f lavfi -i sine=d=3.003 {FAST} -c:a aac"
    );
    check("a.mp4", &clip, &[2_002_000, 1_001_000], 90, "160x90", "30000/1001");
}

#[test]
fn double_rate_in_matroska() {
    let clip = format!("-f lavfi -i testsrc2=s=160x90:r=60000/1001:d=3.003 {FAST}");
    check("a.mkv", &clip, &[2_002_000, 1_001_000], 180, "160x90", "60000/1001");
}

#[test]
fn too_fast_is_halved() {
    let clip = format!("-f lavfi -i testsrc2=s=160x90:r=120:d=2 {FAST}");
    check("a.mp4", &clip, &[2_000_000], 120, "160x90", "60");
}

#[test]
fn frames_here_and_there_become_even() {
    // Of the first second and a half every third frame is missing.
    let clip = format!(
        "-f lavfi -i testsrc2=s=160x90:r=30:d=3 -vf select='gt(t,1.5)+not(eq(mod(n,3),2))' -fps_mode vfr {FAST}"
    );
    check("a.mp4", &clip, &[2_000_000, 1_000_000], 90, "160x90", "30");
}

#[test]
fn upright_with_sound() {
    let clip =
        format!("-f lavfi -i testsrc2=s=90x160:r=25:d=2 -f lavfi -i sine=d=2 {FAST} -c:a aac");
    check("a.mp4", &clip, &[2_000_000], 50, "90x160", "25");
}

#[test]
fn odd_sides_and_a_transport_stream() {
    let clip = format!(
        "-f lavfi -i testsrc2=s=161x91:r=25:d=2 -f lavfi -i sine=d=2 -pix_fmt yuv444p {FAST} -c:a mp2"
    );
    check("a.ts", &clip, &[2_000_000], 50, "160x90", "25");
}

#[test]
fn non_square_pixels_are_squeezed() {
    let clip = format!("-f lavfi -i testsrc2=s=160x120:r=25:d=2,setsar=4/3 {FAST}");
    check("a.mp4", &clip, &[2_000_000], 50, "160x90", "25");
}

#[test]
fn a_slow_film_repeats_frames() {
    let clip = format!("-f lavfi -i testsrc2=s=160x90:r=1:d=4 {FAST}");
    check("a.mp4", &clip, &[2_000_000, 2_000_000], 20, "160x90", "5");
}

#[test]
fn other_codecs_and_more_channels() {
    let clip = "-f lavfi -i testsrc2=s=160x90:r=25:d=2 \
                -f lavfi -i anoisesrc=d=2:a=0.1,aformat=channel_layouts=5.1 \
                -c:v libvpx -deadline realtime -c:a libvorbis";
    check("a.webm", clip, &[2_000_000], 50, "160x90", "25");
}

#[test]
fn sound_that_goes_on_holds_the_last_picture() {
    let clip =
        format!("-f lavfi -i testsrc2=s=160x90:r=25:d=2 -f lavfi -i sine=d=4 {FAST} -c:a aac");
    check("a.mp4", &clip, &[2_000_000, 2_000_000], 100, "160x90", "25");
}

#[test]
fn sound_that_ends_early_is_followed_by_silence() {
    let clip =
        format!("-f lavfi -i testsrc2=s=160x90:r=25:d=4 -f lavfi -i sine=d=1 {FAST} -c:a aac");
    check("a.mp4", &clip, &[2_000_000, 2_000_000], 100, "160x90", "25");
}

#[test]
fn a_cut_by_edit_list_counts_as_cut() {
    let bench = Bench::new();
    let whole =
        bench.clip("whole.mp4", &format!("-f lavfi -i testsrc2=s=160x90:r=25:d=5 {FAST} -g 250"));
    let cut = format!("-ss 1.4 -i {} -c copy", whole.display());
    check("a.mp4", &cut, &[2_000_000, 1_600_000], 90, "160x90", "25");
}
