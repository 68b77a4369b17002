//! A node that was told another name than in its last run. Its disks would be another node's then,
//! and what it found would be written down over what it knows of them: they would come back empty.

use std::{path::PathBuf, sync::Arc};

use futures::future::join_all;
use tokio::time::timeout;

use super::{Drive, LOOK, claim::Marker, register::Register};

/// A disk of the last run of this state, and the name that the node had then: where those disks
/// that can be looked at say so, and none of them knows the name of now.
pub(super) async fn renamed(
    node: &str,
    register: &Register,
    drives: &[(Arc<dyn Drive>, u64)],
) -> Option<(PathBuf, String)> {
    let looks = drives.iter().map(|(drive, _)| timeout(LOOK, drive.inspect()));
    let found = join_all(looks).await;
    let mut other = None;
    for ((drive, _), found) in drives.iter().zip(found) {
        // What cannot be looked at is told when it is to be used.
        let Ok(Ok(found)) = found else { continue };
        let Marker::Found(label) = found.marker else { continue };
        if !register.disks.contains_key(&label.id) {
            continue;
        }
        if label.node == node {
            return None;
        }
        other.get_or_insert((drive.path().to_owned(), label.node));
    }
    other
}
