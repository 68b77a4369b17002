//! A directory with clips, a store and a working directory, and how to look into them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use futures::TryStreamExt;
use serde_json::Value;
use weir_config_lifecycle::SystemClock;
use weir_origin_store::{Conditions, Directory, DirectoryOptions, ObjectMeta, ObjectStore};

pub(super) struct Bench {
    dir: tempfile::TempDir,
}

pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    pub(super) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What `--json` said, which must be of so many files.
    pub(super) fn results(&self, count: usize) -> Vec<Value> {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {}\n{}", self.stdout, self.stderr));
        assert_eq!(value["schema"], "weir-package/v1");
        let results = value["results"].as_array().expect("results").clone();
        assert_eq!(results.len(), count, "{}", self.stdout);
        results
    }
}

pub(super) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null());
    command
}

/// Runs a tool that tests need, to its end.
pub(super) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{} does not run: {error}; cargo xtask test installs ffmpeg",
            command.get_program().display()
        )
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("writable");
        path
    }

    /// Makes a clip by ffmpeg's arguments, separated by spaces.
    pub(super) fn clip(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.path(name);
        let mut command = program("ffmpeg");
        command.args(["-v", "error", "-y"]).args(arguments.split_whitespace());
        run(command.arg(&path));
        path
    }

    pub(super) fn weir(&self) -> Command {
        program(env!("CARGO_BIN_EXE_weir-origin"))
    }

    /// `weir-origin package` into the store of this bench.
    pub(super) fn command(&self, files: &[&Path], more: &str) -> Command {
        let mut command = self.weir();
        command.arg("package").args(files).args(["--threads", "1", "--json"]);
        command.arg("--to-dir").arg(self.path("store"));
        command.arg("--work-dir").arg(self.path("work"));
        command.args(more.split_whitespace());
        command
    }

    pub(super) fn package(&self, files: &[&Path], more: &str) -> Ran {
        Ran::of(&self.command(files, more).output().expect("weir-origin runs"))
    }

    pub(super) fn start(&self, files: &[&Path], more: &str) -> Child {
        let mut command = self.command(files, more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("weir-origin runs")
    }

    /// Packages one clip that must come out well; what the report says of it.
    pub(super) fn publish(&self, file: &Path, more: &str) -> Value {
        let ran = self.package(&[file], more);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        let [result] = ran.results(1).try_into().expect("one");
        assert_eq!(result["status"], "published", "{result}");
        self.assert_work_is_gone();
        result
    }

    pub(super) fn assert_work_is_gone(&self) {
        if let Ok(entries) = fs::read_dir(self.path("work")) {
            let left: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }

    /// Every object of the store with its bytes, by key.
    pub(super) fn objects(&self) -> Vec<(ObjectMeta, Vec<u8>)> {
        if !self.path("store").exists() {
            return Vec::new();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let options = DirectoryOptions::new(vec!["films".into()], Arc::new(SystemClock));
            let store = Directory::open(&self.path("store"), options).expect("a store");
            let page = store.list("films", "", None, None, 1000).await.expect("listed");
            assert!(page.next.is_none(), "more than a page");
            let mut all = Vec::new();
            for listed in page.objects {
                let key = &listed.key;
                let object = store.get("films", key, None, Conditions::default()).await;
                let object = object.expect("is there");
                let meta = object.meta.clone();
                let bytes: Vec<_> = object.body.try_collect().await.expect("readable");
                all.push((meta, bytes.concat()));
            }
            all
        })
    }

    /// The store as plain files, for tools that know nothing of it.
    pub(super) fn export(&self) -> PathBuf {
        let out = self.path("export");
        for (meta, bytes) in self.objects() {
            let file = out.join(&meta.key);
            fs::create_dir_all(file.parent().expect("below out")).expect("writable");
            fs::write(file, bytes).expect("writable");
        }
        out
    }
}

/// What ffprobe counts in a manifest when it decodes all of a stream: pictures or sounds.
pub(super) fn decoded_frames(manifest: &Path, stream: &str) -> u64 {
    let mut command = program("ffprobe");
    command.args(["-v", "error", "-count_frames", "-select_streams", stream]);
    command.args(["-allowed_extensions", "ALL"].iter().filter(|_| is_hls(manifest)));
    command.args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]).arg(manifest);
    let output = run(&mut command);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    // A program of a transport-like container repeats its streams.
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().find(|line| !line.trim().is_empty()).expect("a count");
    first.trim().trim_end_matches(',').parse().expect("a number")
}

fn is_hls(manifest: &Path) -> bool {
    manifest.extension().is_some_and(|extension| extension == "m3u8")
}

/// The lengths in a media playlist, in microseconds.
pub(super) fn lengths(playlist: &str) -> Vec<u64> {
    playlist
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(','))
        .map(|text| text.replace('.', "").parse().expect("a length"))
        .collect()
}
