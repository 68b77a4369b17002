//! Why something could not be kept or read.

/// The database is at fault, or what it was told.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("the database {what} cannot be opened")]
    Open {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// Its address makes no sense.
    #[error("the address of the database is no `postgres://…`: {0}")]
    Address(String),
    /// A newer program has been here.
    #[error("the database is of version {found}, this program knows {known}: start the newer one")]
    Newer {
        /// What is there.
        found: i64,
        /// What is known.
        known: i64,
    },
    /// Its tables cannot be made.
    #[error("step {step} of the tables failed")]
    Migrate {
        /// Which.
        step: i64,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error("the database failed to {what}")]
    Query {
        /// To do what.
        what: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl StoreError {
    pub(crate) fn to(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { what, source }
    }
}

/// Why a node does not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token has no use left, or lost it to somebody a moment ago.
    #[error("the token has no use left")]
    Token,
    /// A node of that name is there, and the token does not name it.
    #[error("there is a node of that name")]
    Exists,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
