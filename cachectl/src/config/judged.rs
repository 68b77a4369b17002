//! What the edge itself says of a configuration: it knows of certificates, keys and key sets, and
//! this program does not carry a server's TLS to know the same.

use std::path::Path;

use serde_json::{Value, json};

use crate::print::harmless;

/// What an edge's `--check` came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Nothing is wrong.
    pub sound: bool,
    /// Mistakes, or what is odd about a sound one.
    pub said: String,
}

/// For people and for programs, of a file whose keys are sound; and the note that belongs to it.
pub(super) fn told(
    file: &Path,
    human: String,
    judged: Option<Judged>,
) -> (String, Value, Option<&'static str>) {
    let data = |sound: bool, said: &str| {
        let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        json!({ "sound": sound, "server": "edge", "mistakes": [], "files": true, "said": lines })
    };
    match judged {
        None => {
            let data = json!({ "sound": true, "server": "edge", "mistakes": [], "files": false });
            let note = "certificates and keys were not looked into, since there is no weir-edge here; \
                        weir-edge --config FILE --check does, as does `cachectl config check` of a \
                        running server";
            (human, data, Some(note))
        }
        Some(Judged { sound: true, said }) => {
            let data = data(true, &said);
            let human = human.trim_end();
            (format!("{human}, its certificates and keys with it\n{}", harmless(&said)), data, None)
        }
        Some(Judged { sound: false, said }) => {
            let data = data(false, &said);
            let said = match said.trim() {
                "" => format!("weir-edge refuses {} and says nothing", file.display()),
                said => said.to_owned(),
            };
            (format!("{}\n", harmless(&said)), data, None)
        }
    }
}
