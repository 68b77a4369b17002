//! The tables, step by step. A step that was ever released is not changed: the next one is added.

use crate::{Store, StoreError, on, open::Pool};

/// Each step is one transaction on either database.
const STEPS: &[&[&str]] = &[&[
    "CREATE TABLE sites (
        name TEXT PRIMARY KEY,
        domain TEXT NOT NULL,
        created_us BIGINT NOT NULL
    )",
    "CREATE TABLE join_tokens (
        id TEXT PRIMARY KEY,
        hash TEXT NOT NULL UNIQUE,
        site TEXT NOT NULL,
        node TEXT NOT NULL,
        uses BIGINT NOT NULL,
        uses_left BIGINT NOT NULL,
        created_us BIGINT NOT NULL,
        expires_us BIGINT NOT NULL,
        revoked_us BIGINT
    )",
    "CREATE TABLE nodes (
        name TEXT PRIMARY KEY,
        site TEXT NOT NULL REFERENCES sites (name),
        state TEXT NOT NULL,
        until_us BIGINT,
        intent BIGINT NOT NULL,
        labels TEXT NOT NULL,
        joined_us BIGINT NOT NULL,
        updated_us BIGINT NOT NULL
    )",
    "CREATE TABLE node_certs (
        serial TEXT PRIMARY KEY,
        node TEXT NOT NULL REFERENCES nodes (name) ON DELETE CASCADE,
        issued_us BIGINT NOT NULL,
        ends_us BIGINT NOT NULL,
        revoked_us BIGINT
    )",
    "CREATE INDEX node_certs_of_node ON node_certs (node, ends_us)",
    "CREATE TABLE node_events (
        id TEXT PRIMARY KEY,
        node TEXT NOT NULL,
        at_us BIGINT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL
    )",
    "CREATE INDEX node_events_of_node ON node_events (node, id)",
    "CREATE TABLE node_state (
        node TEXT PRIMARY KEY REFERENCES nodes (name) ON DELETE CASCADE,
        boot TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        seen_us BIGINT NOT NULL,
        report TEXT NOT NULL
    )",
    "CREATE TABLE down (
        kind TEXT NOT NULL,
        node TEXT NOT NULL,
        number BIGINT NOT NULL,
        made_us BIGINT NOT NULL,
        signed TEXT NOT NULL,
        PRIMARY KEY (kind, node)
    )",
]];

/// Replicas that start together make the tables one after the other.
const LOCK: i64 = 0x7765_6972;

pub(crate) async fn migrate(store: &Store) -> Result<(), StoreError> {
    let known = i64::try_from(STEPS.len()).expect("some dozens");
    loop {
        let found = on!(store, pool => {
            let mut tx = pool.begin().await.map_err(StoreError::to("begin"))?;
            if let Pool::Postgres(_) = store.pool {
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(LOCK)
                    .execute(&mut *tx)
                    .await
                    .map_err(StoreError::to("wait for the other replicas"))?;
            }
            sqlx::query("CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY)")
                .execute(&mut *tx)
                .await
                .map_err(StoreError::to("note its version"))?;
            let found: i64 =
                sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM schema_migrations")
                    .fetch_one(&mut *tx)
                    .await
                    .map_err(StoreError::to("tell its version"))?;
            let step = found + 1;
            let due = usize::try_from(found).ok().and_then(|at| STEPS.get(at));
            for statement in due.copied().unwrap_or_default() {
                let done = sqlx::query(*statement).execute(&mut *tx).await;
                done.map_err(|source| StoreError::Migrate { step, source })?;
            }
            if due.is_some() {
                sqlx::query("INSERT INTO schema_migrations (version) VALUES ($1)")
                    .bind(step)
                    .execute(&mut *tx)
                    .await
                    .map_err(|source| StoreError::Migrate { step, source })?;
            }
            tx.commit().await.map_err(|source| StoreError::Migrate { step, source })?;
            found
        });
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        if found == known {
            return Ok(());
        }
    }
}
