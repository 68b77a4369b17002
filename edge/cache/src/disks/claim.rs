//! What a disk's folder is to this node: a pure decision over what was found in it.

use std::path::Path;

use super::{cause::Cause, register::Register, rendezvous::DiskId};

/// What a disk's own marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Who it is.
    pub id: DiskId,
    /// Whose it is: the node's name.
    pub node: String,
}

/// The marker of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// There is none.
    Missing,
    /// There is one that cannot be believed.
    Damaged,
    /// It says so.
    Found(Label),
}

/// What is in a disk's folder, before anything was changed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its marker.
    pub marker: Marker,
    /// Whether it is on another file system than the register, or would be made on one.
    pub mounted: bool,
    /// A store of the time before markers is in it.
    pub old_store: bool,
    /// Something in it that is not ours.
    pub foreign: Option<String>,
}

impl Inspection {
    /// Whether it is that very disk of this node.
    pub(super) fn is_of(&self, id: DiskId, node: &str) -> bool {
        matches!(&self.marker, Marker::Found(label) if label.id == id && label.node == node)
    }
}

/// What to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// Use it under this identity.
    Use {
        id: DiskId,
        /// Without what it holds.
        fresh: bool,
    },
    /// Leave it alone.
    Leave(Cause, String),
}

/// Decides. `register` is what is known of the last run, if anything is; `drawn` is the
/// identity of a disk that has none yet.
pub(super) fn claim(
    path: &Path,
    found: &Inspection,
    node: &str,
    register: Option<&Register>,
    drawn: DiskId,
) -> Claim {
    let known = register.and_then(|register| register.at(path));
    if let Marker::Found(label) = &found.marker {
        if label.node != node {
            let what = format!("it belongs to node {:?}, and this is {node:?}", label.node);
            return Claim::Leave(Cause::Foreign, what);
        }
        // A disk that was not there in the last run missed what was removed meanwhile.
        let missed = register.is_some_and(|register| !register.disks.contains_key(&label.id));
        return Claim::Use { id: label.id, fresh: missed };
    }
    if known.is_some_and(|(_, entry)| entry.mounted) && !found.mounted {
        let what = "a file system was mounted there before, and none is now".to_owned();
        return Claim::Leave(Cause::Missing, what);
    }
    if let Some(foreign) = &found.foreign {
        let what = format!("it holds {foreign:?}, which no cache put there");
        return Claim::Leave(Cause::Foreign, what);
    }
    match (&found.marker, known) {
        (Marker::Damaged, Some((id, _))) => Claim::Use { id, fresh: false },
        // The same place in the hash space: other disks' chunks stay where they are.
        (_, Some((id, _))) => Claim::Use { id, fresh: true },
        (_, None) => Claim::Use { id: drawn, fresh: !found.old_store },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disks::{register::Entry, wear::Wear};

    const DRAWN: DiskId = DiskId(99);

    #[test]
    fn what_a_folder_is_to_a_node() {
        let entry = |path: &str, mounted| Entry {
            path: path.into(),
            mounted,
            offline: None,
            wear: Wear::default(),
        };
        let register = Register {
            disks: [(DiskId(1), entry("/a", true)), (DiskId(2), entry("/b", false))].into(),
        };
        let label = |id, node: &str| Marker::Found(Label { id: DiskId(id), node: node.into() });
        let empty =
            Inspection { marker: Marker::Missing, mounted: true, old_store: false, foreign: None };
        let with = |marker| Inspection { marker, ..empty.clone() };
        let check = |path: &str, found: &Inspection, known: bool, expected: &str| {
            let register = known.then_some(&register);
            let said = match claim(Path::new(path), found, "edge-1", register, DRAWN) {
                Claim::Use { id, fresh: true } => format!("fresh {}", id.0),
                Claim::Use { id, fresh: false } => format!("keep {}", id.0),
                Claim::Leave(cause, _) => cause.to_string(),
            };
            assert_eq!(said, expected, "{path} {found:?} {known}");
        };
        // Ours, also at another place; one that was away; one of which nothing is known.
        check("/a", &with(label(1, "edge-1")), true, "keep 1");
        check("/b", &with(label(1, "edge-1")), true, "keep 1");
        check("/c", &with(label(7, "edge-1")), true, "fresh 7");
        check("/c", &with(label(7, "edge-1")), false, "keep 7");
        check("/a", &with(label(1, "edge-2")), true, "foreign");
        // Nothing mounted where something was; the same of a folder beside the state is new.
        let bare = Inspection { mounted: false, ..empty.clone() };
        check("/a", &bare, true, "missing");
        check("/b", &bare, true, "fresh 2");
        check("/c", &bare, true, "fresh 99");
        check("/c", &bare, false, "fresh 99");
        // A new disk in an old one's place keeps its place in the hash space.
        check("/a", &empty, true, "fresh 1");
        check("/a", &with(Marker::Damaged), true, "keep 1");
        check("/c", &with(Marker::Damaged), true, "fresh 99");
        let foreign = Inspection { foreign: Some("photos".into()), ..empty.clone() };
        check("/a", &foreign, true, "foreign");
        check("/c", &foreign, false, "foreign");
        let old = Inspection { old_store: true, ..empty.clone() };
        check("/c", &old, false, "keep 99");
    }
}
