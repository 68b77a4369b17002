//! Who belongs to the fleet, and how it does: join tokens, certificates, health reports.
//!
//! What decides is pure and takes its time from outside: [`member`] (which reports are believed),
//! [`token`], [`identity`]. [`signer`] is the seam behind which the keys are: in this process for
//! now. [`Control`] puts them together over the store; it knows no socket.

pub mod control;
pub mod identity;
pub mod member;
pub mod signer;
pub mod token;

pub use control::{Control, Denied, NodeView, Rules, Wanted};
pub use identity::Identity;
pub use member::{Clockwork, Member, Moment, Presence, Refusal};
pub use signer::{Entropy, Issue, LocalSigner, Signer, SignerError, Subject, SystemEntropy};
pub use token::JoinToken;
