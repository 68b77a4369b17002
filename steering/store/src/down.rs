//! The newest message to nodes of each kind.

use crate::{ROWS, Store, StoreError, on};

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// A word of the protocol.
    pub kind: String,
    /// The one node it is for; empty: all.
    pub node: String,
    /// Its version among its kind, or among its kind and node.
    pub number: i64,
    /// When it was made.
    pub made_us: i64,
    /// The signed message, JSON.
    pub signed: String,
}

type Row = (String, String, i64, i64, String);

impl Store {
    /// Keeps a message, if it is newer than what is kept; whether it was.
    ///
    /// # Errors
    /// The database.
    pub async fn put_down(&self, down: &Down) -> Result<bool, StoreError> {
        let done = on!(self, pool => {
            sqlx::query(
                "INSERT INTO down (kind, node, number, made_us, signed)
                    VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (kind, node) DO UPDATE SET number = excluded.number,
                        made_us = excluded.made_us, signed = excluded.signed
                    WHERE down.number < excluded.number",
            )
            .bind(&down.kind)
            .bind(&down.node)
            .bind(down.number)
            .bind(down.made_us)
            .bind(&down.signed)
            .execute(pool)
            .await
            .map(|done| done.rows_affected())
        });
        Ok(done.map_err(StoreError::to("keep a message"))? > 0)
    }

    /// All of them.
    ///
    /// # Errors
    /// The database.
    pub async fn down(&self) -> Result<Vec<Down>, StoreError> {
        let rows: Result<Vec<Row>, _> = on!(self, pool => {
            sqlx::query_as(
                "SELECT kind, node, number, made_us, signed FROM down ORDER BY kind, node LIMIT $1",
            )
            .bind(ROWS)
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(StoreError::to("list messages"))?;
        let down =
            |(kind, node, number, made_us, signed)| Down { kind, node, number, made_us, signed };
        Ok(rows.into_iter().map(down).collect())
    }
}
