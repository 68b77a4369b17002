//! What happened to nodes. Nothing is changed here afterwards.

use crate::{Store, StoreError, on};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// In the order of time.
    pub id: String,
    /// To whom.
    pub node: String,
    /// When.
    pub at_us: i64,
    /// What, in one word.
    pub kind: String,
    /// And in a sentence.
    pub detail: String,
}

type Row = (String, String, i64, String, String);

impl Store {
    /// Writes it down.
    ///
    /// # Errors
    /// The database.
    pub async fn note(&self, event: &Event) -> Result<(), StoreError> {
        let done = on!(self, pool => {
            sqlx::query(
                "INSERT INTO node_events (id, node, at_us, kind, detail)
                    VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&event.id)
            .bind(&event.node)
            .bind(event.at_us)
            .bind(&event.kind)
            .bind(&event.detail)
            .execute(pool)
            .await
            .map(drop)
        });
        done.map_err(StoreError::to("note an event"))
    }

    /// The last events of a node, the newest first.
    ///
    /// # Errors
    /// The database.
    pub async fn events(&self, node: &str, most: u32) -> Result<Vec<Event>, StoreError> {
        let rows: Result<Vec<Row>, _> = on!(self, pool => {
            sqlx::query_as(
                "SELECT id, node, at_us, kind, detail FROM node_events WHERE node = $1
                    ORDER BY id DESC LIMIT $2",
            )
            .bind(node)
            .bind(i64::from(most))
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(StoreError::to("list events"))?;
        let event = |(id, node, at_us, kind, detail)| Event { id, node, at_us, kind, detail };
        Ok(rows.into_iter().map(event).collect())
    }

    /// Forgets events from before `before_us`; how many.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_events(&self, before_us: i64) -> Result<u64, StoreError> {
        let done = on!(self, pool => {
            sqlx::query("DELETE FROM node_events WHERE at_us < $1")
                .bind(before_us)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        });
        done.map_err(StoreError::to("forget events"))
    }
}
