//! The protocols as others speak them, against a running edge, and what nobody may send: one kit
//! of checks for each HTTP version, in `benches/testbed`.

use serde_json::Value;

use crate::{
    Failure,
    run::Run,
    tools,
    up::stack::{Place, Stack},
};

/// Which HTTP version is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kit {
    /// Bytes made by hand.
    H1,
    /// Frames made by hand.
    H2,
    /// libcurl and aioquic, and frames made by hand.
    H3,
}

impl Kit {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::H1, Self::H2, Self::H3];

    /// As figures name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        }
    }

    /// What its malformed messages break.
    pub fn rules(self) -> &'static str {
        match self {
            Self::H1 => "RFC 9112",
            Self::H2 => "RFC 9113",
            Self::H3 => "RFC 9114 and 9204",
        }
    }
}

/// What a kit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Every check held.
    pub passed: bool,
    /// Malformed messages that were sent.
    pub sent: u64,
    /// Those that ended in a refusal.
    pub refused: u64,
}

/// Runs a kit, shown.
pub fn run(place: &Place, stack: &Stack, kit: Kit) -> Result<Found, Failure> {
    let log = place.root.join("target/xtask/setup.log");
    let python = tools::python::python(&tools::cache()?, &log)?;
    let edge = stack.edges.first().ok_or_else(|| Failure::new("no edge runs"))?;
    let address = edge.https.first().ok_or_else(|| Failure::new("the edge serves no HTTPS"))?;
    // The DASH manifest is text of a known size; a few kilobytes are enough to cut ranges from.
    let path = stack.mint(&stack.film.dash, "interop")?;
    let script = place.root.join(format!("benches/testbed/{}/interop.py", kit.as_str()));
    let run = Run::new(python).arg(script);
    let run = run.args(["--url", &edge.url(), "--host", &address.ip().to_string()]);
    let run = run.arg("--ca").arg(&stack.ca).args(["--path", &path]);
    let run = match kit {
        Kit::H3 => {
            let missing = format!("{}/nothing.m4s", stack.film.prefix());
            run.args(["--missing", &stack.mint(&missing, "interop")?])
        }
        Kit::H1 | Kit::H2 => run,
    };
    let (said, status) = run.answer()?;
    print!("{said}");
    let (sent, refused) = counted(&said).ok_or_else(|| {
        Failure::new(format!("the kit of {} did not say what it sent", kit.as_str()))
    })?;
    Ok(Found { passed: status.success() && sent > 0, sent, refused })
}

/// Traces of an edge of its own, taken by a collector that others wrote; shown.
pub fn traces(place: &Place) -> Result<bool, Failure> {
    let log = place.root.join("target/xtask/setup.log");
    let python = tools::python::python(&tools::cache()?, &log)?;
    let script = place.root.join("benches/testbed/otlp/interop.py");
    let (said, status) =
        Run::new(python).arg(script).arg("--edge").arg(place.program("weir-edge")).answer()?;
    print!("{said}");
    Ok(status.success())
}

/// The line of JSON before the last.
fn counted(said: &str) -> Option<(u64, u64)> {
    let line = said.lines().rev().find(|line| line.starts_with('{'))?;
    let value: Value = serde_json::from_str(line).ok()?;
    let malformed = &value["malformed"];
    Some((malformed["sent"].as_u64()?, malformed["refused"].as_u64()?))
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn what_a_kit_says_is_found() {
        let said =
            "pass a\n{\"kit\": \"h2\", \"malformed\": {\"sent\": 3, \"refused\": 2}}\n1 passed\n";
        assert_eq!(counted(said), Some((3, 2)));
        assert_eq!(counted("pass a\n1 passed\n"), None);
        assert_eq!(counted("{\"malformed\": 1}\n"), None);
    }
}
