//! A node's side of the control plane: it joins with a token, reports how it does, renews its
//! certificate, and keeps the last good message of each kind on disk. Nothing of this is needed to
//! go on serving.

mod call;
mod home;
mod join;
mod messages;
mod reporter;

pub use call::{CallError, Endpoint};
pub use home::{Home, HomeError, Membership};
pub use join::{JoinError, Joining, join};
pub use messages::Doubt;
pub use reporter::{CallHome, Node, Reporter, Standing, Told};
