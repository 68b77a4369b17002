//! A film from one end to the other.

use std::fs;

use sha2::{Digest, Sha256};

use super::bench::{Bench, Ran, decoded_frames, lengths, program, run};

/// Five seconds at 25 frames with sound.
const CLIP: &str = "-f lavfi -i testsrc2=s=640x360:r=25:d=5 -f lavfi -i sine=d=5 \
                    -c:v libx264 -preset ultrafast -c:a aac";

#[test]
fn a_film_is_published_whole_and_plays() {
    let bench = Bench::new();
    let clip = bench.clip("Night Train.mp4", CLIP);
    let result = bench.publish(&clip, "--segment 2s");
    assert_eq!(result["title"], "night-train");
    assert_eq!(result["renditions"], serde_json::json!(["v360", "v240", "a64"]));
    let version = result["version"].as_str().unwrap();
    let prefix = format!("night-train/{version}");
    assert_eq!(result["hls"], format!("{prefix}/master.m3u8"));
    assert_eq!(result["dash"], format!("{prefix}/manifest.mpd"));
    assert_eq!(result["pointer"], "night-train/current.json");

    let objects = bench.objects();
    // Three renditions of an init, three segments and a playlist; two manifests; the list;
    // the pointer.
    assert_eq!(objects.len(), 3 * 5 + 2 + 1 + 1);
    assert_eq!(result["objects"], objects.len() - 1);
    for (meta, _) in &objects {
        let (kind, cache) = (meta.content_type.as_deref(), meta.cache_control.as_deref());
        let expected = match meta.key.rsplit_once('.').map(|(_, extension)| extension) {
            Some("m3u8") => "application/vnd.apple.mpegurl",
            Some("mpd") => "application/dash+xml",
            Some("json") => "application/json",
            Some(_) if meta.key.contains("/a64/") => "audio/mp4",
            Some(_) => "video/mp4",
            None => "text/plain; charset=utf-8",
        };
        assert_eq!(kind, Some(expected), "{}", meta.key);
        let forever = "public, max-age=31536000, immutable";
        let short = "public, max-age=5";
        let expected = if meta.key.ends_with("current.json") { short } else { forever };
        assert_eq!(cache, Some(expected), "{}", meta.key);
    }

    // The list names every object of the version, and is right.
    let find = |key: &str| &objects.iter().find(|(meta, _)| meta.key == key).unwrap().1;
    let text = |key: &str| String::from_utf8(find(key).clone()).unwrap();
    let sums = text(&format!("{prefix}/SHA256SUMS"));
    assert_eq!(sums.lines().count(), objects.len() - 2);
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").unwrap();
        let digest = Sha256::digest(find(&format!("{prefix}/{path}")));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, sum, "{path}");
    }
    let pointer: serde_json::Value =
        serde_json::from_str(&text("night-train/current.json")).unwrap();
    assert_eq!(pointer["hls"], format!("{version}/master.m3u8"));

    // Manifests: one grid, sound beside it.
    for rung in ["v360", "v240"] {
        let playlist = text(&format!("{prefix}/{rung}/index.m3u8"));
        assert_eq!(lengths(&playlist), [2_000_000, 2_000_000, 1_000_000], "{rung}");
    }
    let sound = lengths(&text(&format!("{prefix}/a64/index.m3u8")));
    assert_eq!(sound, [2_005_333, 2_005_334, 989_333]);
    let mpd = text(&format!("{prefix}/manifest.mpd"));
    assert!(mpd.contains(r#"<S t="0" d="50000" r="1"/>"#), "{mpd}");
    assert!(mpd.contains(r#"mediaPresentationDuration="PT5S""#), "{mpd}");

    // Players that are not ours decode every picture of both.
    let out = bench.export().join(&prefix);
    assert_eq!(decoded_frames(&out.join("master.m3u8"), "v:0"), 125);
    assert_eq!(decoded_frames(&out.join("manifest.mpd"), "v:0"), 125);
    for rung in ["v360", "v240"] {
        assert_eq!(decoded_frames(&out.join(rung).join("index.m3u8"), "v:0"), 125, "{rung}");
    }
    // 5 s are 234.4 frames of AAC.
    assert_eq!(decoded_frames(&out.join("a64/index.m3u8"), "a:0"), 235);
    assert_every_segment_stands_alone(&out.join("v240"), &[50, 50, 25]);
}

/// Init and segment alone give all of the segment's pictures.
fn assert_every_segment_stands_alone(rung: &std::path::Path, counts: &[u64]) {
    for (at, count) in counts.iter().enumerate() {
        let mut bytes = fs::read(rung.join("init.mp4")).expect("is there");
        bytes.extend(fs::read(rung.join(format!("seg-{}.m4s", at + 1))).expect("is there"));
        let alone = rung.join(format!("alone-{at}.mp4"));
        fs::write(&alone, bytes).expect("writable");
        assert_eq!(decoded_frames(&alone, "v:0"), *count, "segment {}", at + 1);
    }
}

#[test]
fn the_same_film_again_is_there_already() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4", "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -c:v libx264");
    let first = bench.publish(&clip, "");
    let keys = |bench: &Bench| {
        bench.objects().into_iter().map(|(meta, bytes)| (meta.key, bytes)).collect::<Vec<_>>()
    };
    let before = keys(&bench);
    let again = bench.package(&[&clip], "").results(1);
    assert_eq!(again[0]["status"], "already-published");
    assert_eq!(again[0]["version"], first["version"]);
    assert_eq!(keys(&bench), before);
    // Other settings are another version; the pointer moves, the old one stays.
    let other = bench.publish(&clip, "--segment 1s");
    assert_ne!(other["version"], first["version"]);
    let objects = keys(&bench);
    let old = first["hls"].as_str().unwrap();
    assert!(objects.iter().any(|(key, _)| key == old));
    let pointer = objects.iter().find(|(key, _)| key == "a/current.json").unwrap();
    let version = other["version"].as_str().unwrap();
    assert!(String::from_utf8_lossy(&pointer.1).contains(version));
}

#[test]
fn the_sample_film_keeps_eye_and_ear_together() {
    let bench = Bench::new();
    let file = bench.path("sample.mp4");
    let made = bench.weir().args(["sample", "--seconds", "3", "--out"]).arg(&file).output();
    let made = Ran::of(&made.unwrap());
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let result = bench.publish(&file, "--title tone");
    assert_eq!(result["renditions"], serde_json::json!(["v720", "v480", "v360", "v240", "a128"]));
    let out = bench.export().join("tone").join(result["version"].as_str().unwrap());
    let master = out.join("master.m3u8");
    assert_eq!(decoded_frames(&master, "v:0"), 75);
    // The sound as samples: the beep of each second starts where it was made to.
    let pcm = bench.path("sound.pcm");
    let mut command = program("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(out.join("a128/index.m3u8"));
    run(command.args(["-f", "s16le", "-ac", "1", "-ar", "48000"]).arg(&pcm));
    let bytes = fs::read(&pcm).unwrap();
    let loud: Vec<usize> = bytes
        .chunks_exact(2)
        .enumerate()
        .filter(|(_, sample)| i16::from_le_bytes([sample[0], sample[1]]).abs() > 8000)
        .map(|(at, _)| at)
        .collect();
    for second in [1, 2] {
        let at = second * 48_000;
        let onset = loud.iter().find(|place| **place > at - 24_000).unwrap();
        let late_ms = onset.abs_diff(at) * 1000 / 48_000;
        assert!(late_ms <= 3, "the beep of second {second} is {late_ms} ms off");
    }
}

#[test]
fn people_get_lines_and_addresses() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4", "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -c:v libx264");
    let mut command = bench.weir();
    command.arg("package").arg(&clip).arg("--to-dir").arg(bench.path("store"));
    let ran = Ran::of(&command.arg("--work-dir").arg(bench.path("work")).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("a published: version "), "{}", ran.stdout);
    assert!(ran.stdout.contains("/store/films/a/"), "{}", ran.stdout);
    for said in ["a: encoding v90 (1 of 1)", "a: verifying v90", "has no sound"] {
        assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr);
    }
}
