//! Child processes: run one to its end, shown, quietly into a log, or for its output.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use crate::{Failure, signals};

/// A command that is being put together.
#[derive(Debug)]
pub struct Run {
    command: Command,
    shown: String,
}

impl Run {
    /// A program, looked up in `PATH` unless it is a path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        Self { command: Command::new(program), shown: program.to_string_lossy().into_owned() }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets the directory to run in.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs with our own output; fails unless it succeeds.
    pub fn shown(self) -> Result<(), Failure> {
        let status = self.status()?;
        if status.success() { Ok(()) } else { Err(Failure::new("see its output above")) }
    }

    /// Runs with our own output and says how it ended.
    pub fn status(mut self) -> Result<ExitStatus, Failure> {
        let child = self.command.stdin(Stdio::null()).spawn();
        let child = child.map_err(|why| self.cannot_start(&why))?;
        self.wait(child)
    }

    /// Runs with its output appended to `log`; a failure quotes the end of that.
    pub fn quiet(mut self, log: &Path) -> Result<(), Failure> {
        let mut file = append(log)?;
        let begun = writeln!(file, "$ {}", self.shown).and_then(|()| file.metadata());
        let from = begun.map_err(|why| Failure::path("write", log, &why))?.len();
        let copy = file.try_clone().map_err(|why| Failure::path("write", log, &why))?;
        self.command.stdin(Stdio::null()).stdout(file).stderr(copy);
        let child = self.command.spawn().map_err(|why| self.cannot_start(&why))?;
        let status = self.wait(child)?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "`{}` failed ({status}):\n{}\nall of it is in {}",
            self.shown,
            tail(log, from, 25),
            log.display()
        )))
    }

    /// Runs and returns its standard output; a failure quotes its standard error.
    pub fn output(self) -> Result<String, Failure> {
        self.talk("", |_| ())
    }

    /// Runs with its standard error shown, which is where progress goes, and returns its
    /// standard output whatever the exit status is: the output says what went wrong.
    pub fn answer(mut self) -> Result<(String, ExitStatus), Failure> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = self.command.spawn().map_err(|why| self.cannot_start(&why))?;
        let foreground = signals::Foreground::new(&child);
        let mut said = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut said).map_err(|why| {
                Failure::new(format!("output of `{}` cannot be read: {why}", self.shown))
            })?;
        }
        let status = child.wait().map_err(|why| self.cannot_start(&why))?;
        drop(foreground);
        self.check_asked()?;
        Ok((said, status))
    }

    /// Hands `input` to its standard input and each line of its standard output to `line`;
    /// returns the whole output.
    pub fn talk(mut self, input: &str, mut line: impl FnMut(&str)) -> Result<String, Failure> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|why| self.cannot_start(&why))?;
        let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::new(format!("`{}` has no pipes", self.shown)));
        };
        let input = input.to_owned();
        // A child that does not read its input ends with an error of its own.
        let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            drop(stderr.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        let foreground = signals::Foreground::new(&child);
        let mut all = String::new();
        for read in std::io::BufRead::lines(std::io::BufReader::new(stdout)) {
            let read = read.map_err(|why| {
                Failure::new(format!("output of `{}` cannot be read: {why}", self.shown))
            })?;
            line(&read);
            all.push_str(&read);
            all.push('\n');
        }
        let status = child.wait().map_err(|why| self.cannot_start(&why))?;
        drop(foreground);
        drop(writer.join());
        let complaints = complaints.join().unwrap_or_default();
        self.check_asked()?;
        if status.success() {
            return Ok(all);
        }
        let lines: Vec<&str> = complaints.trim_end().lines().collect();
        let end = lines[lines.len().saturating_sub(25)..].join("\n");
        Err(Failure::new(format!("`{}` failed ({status}):\n{end}", self.shown)))
    }

    fn wait(&self, mut child: Child) -> Result<ExitStatus, Failure> {
        let _foreground = signals::Foreground::new(&child);
        let status = child.wait().map_err(|why| self.cannot_start(&why))?;
        self.check_asked()?;
        Ok(status)
    }

    fn check_asked(&self) -> Result<(), Failure> {
        if signals::asked() { Err(Failure::new("interrupted")) } else { Ok(()) }
    }

    fn cannot_start(&self, why: &std::io::Error) -> Failure {
        Failure::new(format!("cannot run `{}`: {why}", self.shown))
    }
}

/// Opens a log to write at its end, with its directory.
pub fn append(log: &Path) -> Result<fs::File, Failure> {
    if let Some(dir) = log.parent() {
        fs::create_dir_all(dir).map_err(|why| Failure::path("make the directory", dir, &why))?;
    }
    let file = OpenOptions::new().create(true).append(true).open(log);
    file.map_err(|why| Failure::path("write", log, &why))
}

/// The last `count` lines of `log` after byte `from`; at most 64 KiB are looked at.
pub fn tail(log: &Path, from: u64, count: usize) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(64 * 1024))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Where `program` is in `PATH` or among the places where Debian puts daemons.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|dir| dir.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_quotes_what_was_said() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("deep/log");
        let failed = Run::new("sh").args(["-c", "echo early; echo late >&2; exit 3"]).quiet(&log);
        let text = failed.expect_err("exit status 3").to_string();
        assert!(text.contains("early\nlate") && text.contains("exit status: 3"), "{text}");
        let failed = Run::new("sh").args(["-c", "echo why >&2; exit 1"]).output();
        assert!(failed.expect_err("exit status 1").to_string().ends_with("why"));
    }

    #[test]
    fn lines_arrive_and_input_is_handed_over() {
        let mut lines = Vec::new();
        let all = Run::new("cat").talk("a\nb\n", |line| lines.push(line.to_owned()));
        assert_eq!((all.expect("cat works").as_str(), lines.len()), ("a\nb\n", 2));
    }

    #[test]
    fn a_missing_program_is_named() {
        let text = Run::new("/no/such/program").output().expect_err("absent").to_string();
        assert!(text.contains("/no/such/program"), "{text}");
    }
}
