//! The public HTTP caching suite: its origin, a run of it against a server, and the list of
//! tests that are known not to pass.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use weir_benches_xtask::tools;

use super::{
    error::CampaignError,
    figures::root,
    process::{Process, listens},
};

const START: Duration = Duration::from_secs(20);
/// A group of the suite about a W3C note, not about RFC 9111. It is not among the tests that
/// the suite's published tables count.
const SURROGATE: &str = "surrogate-control";

/// What a test is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A cache must do so.
    Required,
    /// A good cache does so.
    Optimal,
    /// A question without a right answer.
    Check,
}

/// A test and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The suite's name of it.
    pub id: String,
    /// Its group.
    pub group: String,
    /// What it is for.
    pub kind: Kind,
    /// `pass`, or one of the suite's words for everything else.
    pub verdict: String,
    /// What the suite says where it did not pass.
    pub message: String,
}

impl Outcome {
    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.verdict == "pass"
    }

    fn of(line: &str) -> Result<Self, CampaignError> {
        let unfit = || CampaignError::Unfit(format!("the suite's runner said `{line}`"));
        let value: Value = serde_json::from_str(line).map_err(|_| unfit())?;
        let text = |name: &str| value[name].as_str().map(str::to_owned).ok_or_else(unfit);
        let kind = match text("kind")?.as_str() {
            "required" => Kind::Required,
            "optimal" => Kind::Optimal,
            "check" => Kind::Check,
            _ => return Err(unfit()),
        };
        let (id, group) = (text("id")?, text("group")?);
        Ok(Self { id, group, kind, verdict: text("verdict")?, message: text("message")? })
    }
}

/// How many of a kind passed, and how many there are, without [`SURROGATE`].
pub fn count(outcomes: &[Outcome], kind: Kind) -> (usize, usize) {
    let of_kind = || outcomes.iter().filter(|o| o.kind == kind && o.group != SURROGATE);
    (of_kind().filter(|outcome| outcome.passed()).count(), of_kind().count())
}

/// The suite's origin, which every server under test has for its upstream.
#[derive(Debug)]
pub struct Origin {
    process: Process,
    address: SocketAddr,
    node: PathBuf,
    scripts: PathBuf,
}

impl Origin {
    /// Starts it on loopback.
    pub fn start(place: &Path) -> Result<Self, CampaignError> {
        let scripts = root()?.join("benches/testbed/cache-tests");
        let unfit = |why: weir_benches_xtask::Failure| CampaignError::Unfit(why.to_string());
        let log = place.join("setup.log");
        tools::node::cache_tests(&scripts, &log).map_err(unfit)?;
        let node = tools::cache().and_then(|cache| tools::node::node(&cache, &log));
        let node = node.map_err(unfit)?;
        let out = place.join("origin.out");
        // In a kept directory there may be the words of an earlier one.
        if out.exists() {
            let file = |source| CampaignError::File { path: out.clone(), source };
            fs::remove_file(&out).map_err(file)?;
        }
        let mut command = Command::new(&node);
        command.arg("origin.mjs").current_dir(&scripts);
        let mut process = Process::start("the suite's origin", &mut command, &out)?;
        let mut address = None;
        process.wait_until(START, || {
            let said = fs::read_to_string(&out).unwrap_or_default();
            let port = said.lines().next().and_then(|line| line.parse::<u16>().ok());
            address = port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            address.is_some_and(listens)
        })?;
        let address = address.ok_or_else(|| CampaignError::Unfit("no origin".to_owned()))?;
        Ok(Self { process, address, node, scripts })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs the suite against a server that has this origin. `only` runs one test and shows
    /// its messages.
    pub fn run(
        &mut self,
        server: SocketAddr,
        only: Option<&str>,
    ) -> Result<Vec<Outcome>, CampaignError> {
        self.process.check()?;
        let mut command = Command::new(&self.node);
        command.arg("run.mjs").arg(format!("http://{server}")).args(only);
        let run = command.current_dir(&self.scripts).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = run.output()?;
        if !output.status.success() {
            let why = format!("the suite's runner ended badly ({})", output.status);
            return Err(CampaignError::Unfit(why));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let outcomes: Vec<_> = said.lines().map(Outcome::of).collect::<Result<_, _>>()?;
        if outcomes.is_empty() {
            return Err(CampaignError::Unfit("the suite has no such test".to_owned()));
        }
        Ok(outcomes)
    }
}

/// Tests that are known not to pass, each with a reason that names a section of an RFC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList {
    reasons: BTreeMap<String, String>,
}

impl AllowList {
    /// Reads the repository's.
    pub fn read() -> Result<Self, CampaignError> {
        let path = root()?.join("benches/testbed/cache-tests/allow.txt");
        let text = fs::read_to_string(&path)
            .map_err(|source| CampaignError::File { path: path.clone(), source })?;
        Self::parse(&text).map_err(|why| CampaignError::Unfit(format!("{}: {why}", path.display())))
    }

    /// Lines of `id: reason`; `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reasons = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = at + 1;
            let (id, reason) = line
                .split_once(": ")
                .ok_or_else(|| format!("line {at} is not `test-id: reason (RFC 9111 §4.2)`"))?;
            if !(reason.contains("RFC ") && reason.contains('§')) {
                return Err(format!("line {at}: the reason names no section of an RFC"));
            }
            if reasons.insert(id.to_owned(), reason.trim().to_owned()).is_some() {
                return Err(format!("line {at}: {id} is there twice"));
            }
        }
        Ok(Self { reasons })
    }

    /// What of a whole run is not as the list says: tests that ought to pass and do not, and
    /// tests of the list that pass, or that are not there.
    pub fn problems(&self, outcomes: &[Outcome]) -> Vec<String> {
        let mut problems = Vec::new();
        for outcome in outcomes.iter().filter(|outcome| outcome.kind != Kind::Check) {
            let Outcome { id, group, kind, verdict, message } = outcome;
            match (outcome.passed(), self.reasons.contains_key(id)) {
                (false, false) => {
                    problems.push(format!("{kind:?} {group} {id}: {verdict}; {message}"));
                }
                (true, true) => problems.push(format!("{id} passes: take it off the list")),
                _ => {}
            }
        }
        for id in self.reasons.keys() {
            if !outcomes.iter().any(|outcome| outcome.id == *id && outcome.kind != Kind::Check) {
                problems.push(format!("{id} is on the list and none of the suite's tests"));
            }
        }
        problems
    }

    /// How many of these outcomes the list excuses.
    pub fn excused(&self, outcomes: &[Outcome], kind: Kind) -> usize {
        let listed = |outcome: &&Outcome| {
            outcome.kind == kind
                && outcome.group != SURROGATE
                && self.reasons.contains_key(&outcome.id)
        };
        outcomes.iter().filter(listed).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(id: &str, kind: Kind, verdict: &str) -> Outcome {
        let group = "group".to_owned();
        Outcome { id: id.into(), group, kind, verdict: verdict.into(), message: "why".into() }
    }

    #[test]
    fn a_list_has_a_reason_for_each() {
        let check = |text: &str, expected: &str| {
            let why = AllowList::parse(text).expect_err(text);
            assert!(why.contains(expected), "{why}");
        };
        check("a", "line 1 is not");
        check("# c\n\na: because", "line 3: the reason names no section");
        check("a: RFC 9111 §3\na: RFC 9111 §4", "twice");
    }

    #[test]
    fn the_list_must_be_true() {
        let list = AllowList::parse("a: as RFC 9111 §3 says\nz: RFC 9111 §4\n").expect("a list");
        let outcomes = [
            outcome("a", Kind::Required, "pass"),
            outcome("b", Kind::Optimal, "setup"),
            outcome("c", Kind::Check, "fail"),
            outcome("d", Kind::Required, "pass"),
        ];
        let problems = list.problems(&outcomes);
        assert_eq!(
            problems,
            [
                "a passes: take it off the list",
                "Optimal group b: setup; why",
                "z is on the list and none of the suite's tests",
            ]
        );
        let failing = [outcome("a", Kind::Required, "fail"), outcome("z", Kind::Optimal, "fail")];
        assert_eq!(list.problems(&failing), Vec::<String>::new());
        assert_eq!(list.excused(&failing, Kind::Required), 1);
    }

    #[test]
    fn lines_of_the_runner() {
        let line = r#"{"id":"a","group":"g","kind":"optimal","verdict":"pass","message":""}"#;
        let read = Outcome::of(line).expect("a line");
        assert_eq!((read.kind, read.passed()), (Kind::Optimal, true));
        assert!(Outcome::of("{}").is_err());
        assert_eq!(count(&[read], Kind::Optimal), (1, 1));
    }
}
