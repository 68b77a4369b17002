//! Opening either database, and asking whether it is there.

use std::{path::PathBuf, str::FromStr, time::Duration};

use sqlx::{
    PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{StoreError, migrate, on};

/// How long a connection is waited for, and a statement of PostgreSQL.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections to PostgreSQL.
const CONNECTIONS: u32 = 8;

/// Which database.
#[derive(Clone)]
pub enum Backend {
    /// A file, made when missing.
    Sqlite(PathBuf),
    /// `postgres://user:password@host/name`; the password is never shown.
    Postgres(String),
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres"),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The database of the control plane. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: Pool,
}

impl Store {
    /// Opens it, and brings its tables up to date.
    ///
    /// # Errors
    /// When it is not there, may not be used, or is of a newer version.
    pub async fn open(backend: &Backend) -> Result<Self, StoreError> {
        let pool = match backend {
            Backend::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .foreign_keys(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // A token that was used is used, also after power was lost.
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(PATIENCE);
                // SQLite has one writer, and what is asked here is asked seldom.
                let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
                let what = path.display().to_string();
                let opened = pool.connect_with(options).await;
                Pool::Sqlite(opened.map_err(|source| StoreError::Open { what, source })?)
            }
            Backend::Postgres(url) => {
                if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
                    return Err(StoreError::Address("it has another scheme".to_owned()));
                }
                let unread = |error: sqlx::Error| StoreError::Address(error.to_string());
                let options = PgConnectOptions::from_str(url).map_err(unread)?;
                let what = format!("PostgreSQL at {}", options.get_host());
                let patience = format!("{}ms", PATIENCE.as_millis());
                let options = options.options([("statement_timeout", patience)]);
                let pool =
                    PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
                let opened = pool.connect_with(options).await;
                Pool::Postgres(opened.map_err(|source| StoreError::Open { what, source })?)
            }
        };
        let store = Self { pool };
        migrate::migrate(&store).await?;
        Ok(store)
    }

    /// Which database it is, for people.
    pub fn kind(&self) -> &'static str {
        match self.pool {
            Pool::Sqlite(_) => "sqlite",
            Pool::Postgres(_) => "postgres",
        }
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let one: Result<i64, _> = on!(self, pool => {
            sqlx::query_scalar("SELECT CAST(1 AS BIGINT)").fetch_one(pool).await
        });
        one.map(drop).map_err(StoreError::to("answer"))
    }

    /// Ends all connections; what was written is on disk.
    pub async fn close(&self) {
        on!(self, pool => pool.close().await);
    }
}
