//! Why a candidate is passed by, one letter each, and what follows for the bytes that are then
//! served from further away.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reasons(u8);

impl Reasons {
    /// None: it may serve.
    pub const NONE: Self = Self(0);
    /// It does not hold the title.
    pub const CONTENT: Self = Self(1);
    /// It is broken, unreachable in the client's family, or was never heard.
    pub const HEALTH: Self = Self(2);
    /// It has no room.
    pub const LOAD: Self = Self(4);
    /// An operator takes it out.
    pub const DRAINING: Self = Self(8);
    /// Its site does not serve this service, country, or address.
    pub const POLICY: Self = Self(16);
    /// It has not purged all that has to be purged.
    pub const EPOCH: Self = Self(32);
    /// It has no address of the client's family.
    pub const FAMILY: Self = Self(64);
    /// Clients report that it serves badly.
    pub const CLIENTS: Self = Self(128);

    const LETTERS: [(Self, char); 8] = [
        (Self::CONTENT, 'C'),
        (Self::HEALTH, 'H'),
        (Self::LOAD, 'L'),
        (Self::DRAINING, 'D'),
        (Self::POLICY, 'P'),
        (Self::EPOCH, 'E'),
        (Self::FAMILY, 'V'),
        (Self::CLIENTS, 'T'),
    ];

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there are none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether any of `other` is among them.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// `self` where `when`, else none.
    #[must_use]
    pub const fn only(self, when: bool) -> Self {
        if when { self } else { Self::NONE }
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = Self::LETTERS.iter().filter(|(reason, _)| self.has(*reason));
        told.into_iter().try_for_each(|(_, letter)| write!(f, "{letter}"))
    }
}

/// Why bytes come from a site that is not the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Miss {
    /// They come from the nearest.
    None,
    /// The nearest does not hold the title.
    Content,
    /// The nearest is broken, silent, or its clients complain.
    Health,
    /// The nearest has no room.
    Load,
    /// The nearest is drained, behind with purges, may not serve this client, or has no address of
    /// its family.
    Policy,
    /// The map is too old to say.
    StaleMap,
}

impl Miss {
    /// Of the reasons of one node.
    pub(crate) fn of(reasons: Reasons) -> Self {
        // What an operator decided comes before what happened to the node meanwhile.
        let decided = [Reasons::POLICY, Reasons::DRAINING, Reasons::FAMILY, Reasons::EPOCH];
        if decided.into_iter().any(|reason| reasons.has(reason)) {
            Self::Policy
        } else if reasons.has(Reasons::HEALTH) || reasons.has(Reasons::CLIENTS) {
            Self::Health
        } else if reasons.has(Reasons::LOAD) {
            Self::Load
        } else if reasons.has(Reasons::CONTENT) {
            Self::Content
        } else {
            Self::None
        }
    }

    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Content => "content",
            Self::Health => "health",
            Self::Load => "load",
            Self::Policy => "policy",
            Self::StaleMap => "stale_map",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters() {
        assert_eq!(Reasons(255).to_string(), "CHLDPEVT");
        assert_eq!(Reasons::NONE.to_string(), "");
        let both = Reasons::LOAD.and(Reasons::DRAINING);
        assert_eq!(both.to_string(), "LD");
        assert_eq!(both.without(Reasons::LOAD), Reasons::DRAINING);
        assert_eq!(Miss::of(both), Miss::Policy);
    }
}
