//! What is no film: a clear error, a status, and nothing left behind.

use std::fs;

use super::bench::{Bench, Ran};

const CLIP: &str = "-f lavfi -i testsrc2=s=160x90:r=25:d=4 -c:v libx264 -preset ultrafast";

/// Packages one file and expects an error that says all of `expected`.
fn check(bench: &Bench, name: &str, expected: &[&str]) {
    let ran = bench.package(&[&bench.path(name)], "");
    assert_eq!(ran.code, Some(1), "{name}: {}{}", ran.stdout, ran.stderr);
    let result = &ran.results(1)[0];
    assert_eq!(result["status"], "failed", "{name}");
    let error = result["error"].as_str().expect("an error");
    for part in expected {
        assert!(error.contains(part), "{name}: {part:?} is not in {error:?}");
    }
    assert!(error.contains(name), "{name} is not named in {error:?}");
    bench.assert_work_is_gone();
    assert!(!bench.path("store").exists(), "{name}: a store was made");
}

#[test]
fn files_that_are_no_films() {
    let bench = Bench::new();
    bench.write("text.txt", b"Dear reader,\nthis is not a film.\n");
    bench.write("text.mp4", b"Dear reader,\nthis is not a film.\n");
    bench.write("empty.mp4", b"");
    fs::create_dir(bench.path("folder.mp4")).expect("writable");
    check(&bench, "text.txt", &["is no film that ffprobe can read"]);
    check(&bench, "text.mp4", &["is no film that ffprobe can read"]);
    check(&bench, "empty.mp4", &["is empty"]);
    check(&bench, "folder.mp4", &["is a directory", "one by one"]);
    check(&bench, "missing.mp4", &["there is no such file"]);
}

#[test]
fn films_without_moving_pictures() {
    let bench = Bench::new();
    bench.clip("sound.m4a", "-f lavfi -i sine=d=2 -c:a aac");
    bench.clip("still.png", "-f lavfi -i testsrc2=s=160x90 -frames:v 1");
    let still = bench.path("still.png");
    bench.clip(
        "cover.mp3",
        &format!("-f lavfi -i sine=d=2 -i {} -map 0 -map 1 -c:v copy", still.display()),
    );
    bench.clip("dwarf.mp4", "-f lavfi -i testsrc2=s=12x90:r=25:d=1 -c:v libx264");
    check(&bench, "sound.m4a", &["no video stream", "audio aac"]);
    check(&bench, "cover.mp3", &["no video stream", "cover picture"]);
    check(&bench, "still.png", &["is no film that ffprobe can read"]);
    check(&bench, "dwarf.mp4", &["12x90", "16x16"]);
}

#[test]
fn films_that_are_cut_off() {
    let bench = Bench::new();
    let cut = |from: &str, to: &str| {
        let bytes = fs::read(bench.path(from)).expect("is there");
        bench.write(to, &bytes[..bytes.len() / 2]);
    };
    bench.clip("plain.mp4", CLIP);
    bench.clip("front.mp4", &format!("{CLIP} -movflags +faststart"));
    bench.clip("whole.mkv", CLIP);
    cut("plain.mp4", "no-index.mp4");
    cut("front.mp4", "half.mp4");
    cut("whole.mkv", "half.mkv");
    check(&bench, "no-index.mp4", &["is no film that ffprobe can read", "moov"]);
    check(&bench, "half.mp4", &["is cut off", "4000 ms"]);
    check(&bench, "half.mkv", &["is cut off", "4000 ms"]);
}

#[test]
fn a_playlist_does_not_lead_elsewhere() {
    let bench = Bench::new();
    bench.clip("secret.ts", CLIP);
    bench.write(
        "lure.m3u8",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nsecret.ts\n#EXT-X-ENDLIST\n",
    );
    bench.write("lure.ffconcat", b"ffconcat version 1.0\nfile secret.ts\n");
    check(&bench, "lure.m3u8", &["is no film that ffprobe can read"]);
    check(&bench, "lure.ffconcat", &["is no film that ffprobe can read"]);
}

#[test]
fn a_damaged_film_never_comes_out_shorter() {
    let bench = Bench::new();
    let clip = bench.clip("torn.mp4", &format!("{CLIP} -bf 0 -g 10"));
    // From the middle on the pictures are noise; index and length stay.
    let mut bytes = fs::read(&clip).expect("is there");
    let moov = bytes.windows(4).position(|window| window == b"moov").expect("an index");
    let (from, to) = (moov / 3, moov - 100);
    let mut noise = 1u32;
    for byte in &mut bytes[from..to] {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = noise.to_be_bytes()[0];
    }
    fs::write(&clip, bytes).expect("writable");
    let ran = bench.package(&[&clip], "");
    bench.assert_work_is_gone();
    // A decoder may patch it up, then all of its length must be there; or it is refused.
    let result = &ran.results(1)[0];
    if ran.code == Some(0) {
        assert_eq!(result["duration_seconds"], 4.0);
    } else {
        assert_eq!(result["status"], "failed");
        let published = bench.objects();
        assert!(published.is_empty(), "{} objects", published.len());
    }
}

#[test]
fn one_bad_film_does_not_stop_the_others() {
    let bench = Bench::new();
    let good = bench.clip("good.mp4", CLIP);
    let bad = bench.write("bad.mp4", b"no film");
    let twin = bench.path("Good.mp4");
    fs::copy(&good, &twin).expect("writable");
    let ran = bench.package(&[&bad, &good, &twin], "");
    assert_eq!(ran.code, Some(1));
    let results = ran.results(3);
    let states: Vec<_> = results.iter().map(|result| result["status"].clone()).collect();
    assert_eq!(states, ["failed", "published", "failed"]);
    let said = results[2]["error"].as_str().expect("an error");
    assert!(said.contains("two files would become the title good"), "{said}");
    bench.assert_work_is_gone();
}

#[test]
fn targets_and_titles_that_cannot_be() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4", CLIP);
    bench.write("file", b"");
    bench.write("keys.toml", b"access_key = \"a\"\nsecret_key = \"b\"\n");
    let check = |target: &[&str], code: i32, expected: &str| {
        let mut command = bench.weir();
        command.current_dir(bench.path("")).arg("package").arg(&clip).args(target);
        let ran = Ran::of(&command.args(["--work-dir", "work"]).output().expect("runs"));
        assert_eq!(ran.code, Some(code), "{target:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(expected), "{target:?}: {}", ran.stderr);
        bench.assert_work_is_gone();
    };
    check(&[], 2, "--to");
    check(&["--to", "http://127.0.0.1:9"], 2, "--credentials");
    check(&["--to-dir", "file/store"], 1, "cannot open the target file/store");
    check(&["--to-dir", "."], 1, "holds files but no store");
    check(&["--to-dir", "s", "--title", "A B"], 1, "cannot name a title");
    check(&["--to-dir", "s", "--segment", "20s"], 1, "between 1 s and 12 s");
    check(&["--to-dir", "s", "--bucket", "No Bucket"], 1, "No Bucket");
    // Port 9 of this host: nobody listens.
    let gone = ["--to", "http://127.0.0.1:9", "--credentials", "keys.toml"];
    check(&gone, 1, "nothing was published");
    check(&["--to", "nonsense", "--credentials", "keys.toml"], 1, "is no address");
    check(&["--to", "http://127.0.0.1:9", "--credentials", "none.toml"], 1, "none.toml");
}

#[test]
fn without_ffmpeg_it_says_what_to_install() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4", CLIP);
    let ran = bench.command(&[&clip], "").env("PATH", bench.path("")).output().expect("runs");
    let ran = Ran::of(&ran);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("ffmpeg is not in PATH; install it"), "{}", ran.stderr);
    assert!(ran.results(1)[0]["error"].as_str().is_some_and(|e| e.contains("apt-get")));
}
