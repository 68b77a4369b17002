//! That verification can fail: the same rendition whole, damaged and with a hole.

use std::{fs, path::PathBuf};

use weir_origin_media::{Plan, Settings, ladder};

use super::*;
use crate::package::{cut::Cutter, encode, probe};

const NEEDED: &str = "this test needs ffmpeg and ffprobe; cargo xtask test installs them";

struct Cut {
    dir: tempfile::TempDir,
    tools: Tools,
    rendition: Rendition,
    pieces: Vec<Piece>,
}

async fn clip(
    tools: &Tools,
    dir: &tempfile::TempDir,
) -> (PathBuf, Plan, weir_origin_media::Source) {
    let file = dir.path().join("clip.mp4");
    let mut command = tools.ffmpeg();
    command.args(["-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=3"]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast"]).arg(&file);
    assert!(command.status().await.expect(NEEDED).success());
    let source = probe::probe(tools, &file).await.expect("a film");
    let settings = Settings { segment_micros: 1_000_000 };
    let plan = ladder::plan(&source, settings).expect("a ladder");
    (file, plan, source)
}

/// One rung of three segments.
async fn cut() -> Cut {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let tools = Tools::find().expect(NEEDED);
    let (file, plan, source) = clip(&tools, &dir).await;
    let arguments = encode::video(&source, &plan, &plan.video[0], 1);
    let mut cutter = Cutter::new(dir.path(), "v90", &plan, None).expect("a folder");
    encode::run(&tools, &file, "v90", &arguments, 1, &mut cutter, |_| {}).await.expect("encodes");
    let (rendition, pieces) = cutter.finish().expect("whole fragments");
    assert_eq!(pieces.len(), 4);
    Cut { dir, tools, rendition, pieces }
}

impl Cut {
    async fn verify(&self) -> Result<(), PackageError> {
        rendition(&self.tools, self.dir.path(), &self.rendition, &self.pieces, |_| {}).await
    }

    /// Writes other bytes and believes them.
    fn replace(&mut self, at: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.dir.path().join(&self.pieces[at].path);
        let mut bytes = fs::read(&path).expect("is there");
        change(&mut bytes);
        fs::write(&path, &bytes).expect("writable");
        self.pieces[at].sha256 = Sha256::digest(&bytes).into();
    }
}

#[tokio::test]
async fn a_whole_rendition_passes() {
    cut().await.verify().await.unwrap();
}

#[tokio::test]
async fn bytes_that_changed_on_the_disk_are_seen() {
    let cut = cut().await;
    let path = cut.dir.path().join(&cut.pieces[2].path);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = cut.verify().await.unwrap_err();
    assert!(matches!(&error, PackageError::Altered { path } if path == "v90/seg-2.m4s"), "{error}");
}

#[tokio::test]
async fn a_segment_that_does_not_decode_is_seen() {
    let mut cut = cut().await;
    cut.replace(2, |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0xff);
    });
    let error = cut.verify().await.unwrap_err();
    assert!(matches!(error, PackageError::Undecodable { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_segment_is_seen() {
    let mut cut = cut().await;
    cut.pieces.remove(2);
    let error = cut.verify().await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("only 50 pictures of 75 came out"), "{said}");
}

#[tokio::test]
async fn an_encoder_that_breaks_off_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let tools = Tools::find().expect(NEEDED);
    let (file, plan, _) = clip(&tools, &dir).await;
    let fragmented = dir.path().join("fragmented.mp4");
    let mut command = tools.ffmpeg();
    command.arg("-i").arg(&file).args(["-c", "copy", "-movflags", "+frag_keyframe+empty_moov"]);
    assert!(command.arg(&fragmented).status().await.expect(NEEDED).success());
    let bytes = fs::read(&fragmented).unwrap();
    // Whatever byte it ends at, in pieces of whatever size: an error or whole fragments.
    for end in [0, 7, 100, 700, bytes.len() / 2, bytes.len() - 1] {
        let name = format!("cut-{end}");
        let mut cutter = Cutter::new(dir.path(), &name, &plan, None).unwrap();
        for chunk in bytes[..end].chunks(13) {
            cutter.feed(chunk).unwrap();
        }
        assert!(cutter.finish().is_err(), "{end}");
    }
    let mut cutter = Cutter::new(dir.path(), "text", &plan, None).unwrap();
    assert!(cutter.feed(b"\0\0\0\0mdat").is_err(), "a box without an end");
    let mut cutter = Cutter::new(dir.path(), "huge", &plan, None).unwrap();
    assert!(cutter.feed(b"\xff\xff\xff\xffmdat").is_err(), "a box of 4 GiB");
}
