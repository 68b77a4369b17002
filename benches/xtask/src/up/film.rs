//! The film that plays: drawn by ffmpeg or the person's own, packaged into the S3 store once.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Failure, files,
    run::Run,
    s3::{S3, hex},
    say,
    up::{
        config::{self, FILMS},
        stack::Place,
    },
};

/// Long enough to see every player switch and buffer, short enough for CI.
const SAMPLE_SECONDS: u32 = 20;

/// A packaged film.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    /// For people.
    pub title: String,
    /// Key of the HLS multivariant playlist.
    pub hls: String,
    /// Key of the DASH manifest.
    pub dash: String,
    /// Length in seconds.
    pub duration_s: f64,
    /// Pictures a second of the source.
    pub frames_per_second: f64,
}

impl Film {
    /// What a token for it must open: everything beside its manifests.
    pub fn prefix(&self) -> &str {
        self.hls.rsplit_once('/').map_or("", |(prefix, _)| prefix)
    }

    fn to_json(&self) -> Value {
        json!({
            "title": self.title, "hls": self.hls, "dash": self.dash,
            "duration_s": self.duration_s, "frames_per_second": self.frames_per_second,
        })
    }

    fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let word = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Self {
            title: word("title")?,
            hls: word("hls")?,
            dash: word("dash")?,
            duration_s: value["duration_s"].as_f64()?,
            frames_per_second: value["frames_per_second"].as_f64()?,
        })
    }
}

/// The film of `source`, or the sample: as the store has it, or packaged now.
pub(super) fn ensure(
    place: &Place,
    dir: &Path,
    source: Option<&Path>,
    s3: &S3,
) -> Result<Film, Failure> {
    let home = dir.join("films");
    let record = home.join(format!("{}.json", name(source)?));
    if let Some(film) = files::read(&record)?.as_deref().and_then(Film::from_json)
        && s3.has(FILMS, &film.hls)?
        && s3.has(FILMS, &film.dash)?
    {
        return Ok(film);
    }
    let (file, title) = match source {
        Some(file) => {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (file.to_owned(), stem)
        }
        None => (sample(place, &home)?, "Sample film".to_owned()),
    };
    // The packager says best what is wrong with a film.
    let (hls, dash) = package(place, dir, &file, s3)?;
    let (duration_s, frames_per_second) = probe(&file)?;
    let film = Film { title, hls, dash, duration_s, frames_per_second };
    files::write(&record, film.to_json().to_string().as_bytes())?;
    Ok(film)
}

/// A name for what was packaged: the sample, or a file as it is now.
fn name(source: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = source else { return Ok(format!("sample-{SAMPLE_SECONDS}")) };
    let seen = || -> std::io::Result<String> {
        let (whole, meta) = (path.canonicalize()?, path.metadata()?);
        let since = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(format!("{}\0{}\0{}", whole.display(), meta.len(), since.as_nanos()))
    };
    let seen = seen().map_err(|why| Failure::path("read", path, &why))?;
    Ok(hex(&Sha256::digest(seen.as_bytes())[..8]))
}

fn sample(place: &Place, home: &Path) -> Result<PathBuf, Failure> {
    let file = home.join(format!("sample-{SAMPLE_SECONDS}.mp4"));
    if file.is_file() {
        return Ok(file);
    }
    files::directory(home)?;
    say::step(&format!("Drawing a sample film of {SAMPLE_SECONDS} s"), || {
        let run = Run::new(place.program("weir-origin")).arg("sample");
        let run = run.args(["--seconds", &SAMPLE_SECONDS.to_string(), "--out"]).arg(&file);
        run.output().map(drop)
    })?;
    Ok(file)
}

/// Encodes the film and puts it into the store; the keys of its HLS and DASH manifests.
fn package(place: &Place, dir: &Path, file: &Path, s3: &S3) -> Result<(String, String), Failure> {
    let credentials = dir.join("keys/packager-s3.toml");
    let text = config::credentials(&s3.access_key, &s3.secret_key);
    files::write_secret(&credentials, text.as_bytes())?;
    let work = dir.join("work");
    files::directory(&work)?;
    say::head("Packaging the film: encoded once, then kept in S3");
    let run = Run::new(place.program("weir-origin")).arg("package").arg(file);
    let run = run.args(["--json", "--bucket", FILMS, "--region", &s3.region]);
    let run = run.args(["--to", &format!("http://{}", s3.endpoint)]);
    let run = run.arg("--credentials").arg(&credentials).arg("--work-dir").arg(&work);
    let (said, status) = run.answer()?;
    packaged(&said).map_err(|why| {
        Failure::new(format!("{} could not be packaged ({status}): {why}", file.display()))
    })
}

/// The keys of the manifests in what `weir-origin package --json` says of one film.
fn packaged(said: &str) -> Result<(String, String), String> {
    let value: Value = serde_json::from_str(said).map_err(|_| "see above".to_owned())?;
    let result = &value["results"][0];
    match (result["hls"].as_str(), result["dash"].as_str(), result["error"].as_str()) {
        (Some(hls), Some(dash), _) => Ok((hls.to_owned(), dash.to_owned())),
        (_, _, Some(error)) => Err(error.to_owned()),
        _ => Err("see above".to_owned()),
    }
}

/// Length and pictures a second.
fn probe(file: &Path) -> Result<(f64, f64), Failure> {
    let said = Run::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "json"])
        .args(["-show_entries", "stream=avg_frame_rate:format=duration"])
        .arg(file)
        .output()?;
    rates(&said).ok_or_else(|| {
        Failure::new(format!(
            "{}: ffprobe finds no video in it; give a film with a picture",
            file.display()
        ))
    })
}

fn rates(said: &str) -> Option<(f64, f64)> {
    let value: Value = serde_json::from_str(said).ok()?;
    let duration: f64 = value["format"]["duration"].as_str()?.parse().ok()?;
    let (over, under) = value["streams"][0]["avg_frame_rate"].as_str()?.split_once('/')?;
    let fps = over.parse::<f64>().ok()? / under.parse::<f64>().ok()?;
    (fps.is_finite() && fps > 0.0 && duration > 0.0).then_some((duration, fps))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn records_survive() {
        let film = Film {
            title: "A \"film\"".into(),
            hls: "a/v1/master.m3u8".into(),
            dash: "a/v1/manifest.mpd".into(),
            duration_s: 20.02,
            frames_per_second: 25.0,
        };
        assert_eq!(Film::from_json(&film.to_json().to_string()), Some(film.clone()));
        assert_eq!(Film::from_json("{\"title\": \"half a rec"), None);
        assert_eq!(film.prefix(), "a/v1");
    }

    #[test]
    fn what_ffprobe_says() {
        let check = |said: &str, expected: Option<(f64, f64)>| assert_eq!(rates(said), expected);
        let whole = r#"{"streams":[{"avg_frame_rate":"30000/1001"}],"format":{"duration":"20.5"}}"#;
        check(whole, Some((20.5, 30000.0 / 1001.0)));
        check(r#"{"streams":[],"format":{"duration":"20.5"}}"#, None);
        check(r#"{"streams":[{"avg_frame_rate":"0/0"}],"format":{"duration":"2"}}"#, None);
    }

    #[test]
    fn what_the_packager_says() {
        let check = |said: &str, expected: Result<(&str, &str), &str>| {
            let expected = expected.map(|(h, d)| (h.to_owned(), d.to_owned()));
            assert_eq!(packaged(said), expected.map_err(str::to_owned), "{said}");
        };
        let done = r#"{"results":[{"status":"published","hls":"a/1/m.m3u8","dash":"a/1/m.mpd"}]}"#;
        check(done, Ok(("a/1/m.m3u8", "a/1/m.mpd")));
        check(r#"{"results":[{"status":"failed","error":"no video"}]}"#, Err("no video"));
        check("", Err("see above"));
    }

    #[test]
    fn a_changed_file_is_another_film() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("film.mp4");
        fs::write(&path, "1").expect("writes");
        let first = name(Some(&path)).expect("is there");
        assert_eq!(name(Some(&path)).expect("is there"), first);
        fs::write(&path, "12").expect("writes");
        assert_ne!(name(Some(&path)).expect("is there"), first);
        assert_eq!(name(None).expect("no file"), "sample-20");
    }
}
