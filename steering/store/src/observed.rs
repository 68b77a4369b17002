//! What nodes reported last, so that a control plane that starts knows what it knew.

use crate::{ROWS, Store, StoreError, on};

/// The last report of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Whose.
    pub node: String,
    /// Of which process; a number too large for a column.
    pub boot: String,
    /// Which of its reports.
    pub sequence: i64,
    /// When it came.
    pub seen_us: i64,
    /// The report itself, JSON.
    pub report: String,
}

type Row = (String, String, i64, i64, String);

impl Store {
    /// Keeps the last reports of these nodes, all of them or none. Those of nodes that are not
    /// there any more are passed over.
    ///
    /// # Errors
    /// The database.
    pub async fn observe(&self, all: &[Observed]) -> Result<(), StoreError> {
        let failed = || StoreError::to("keep reports");
        on!(self, pool => {
            let mut tx = pool.begin().await.map_err(failed())?;
            for seen in all {
                sqlx::query(
                    "INSERT INTO node_state (node, boot, sequence, seen_us, report)
                        SELECT name, $2, $3, $4, $5 FROM nodes WHERE name = $1
                        ON CONFLICT (node) DO UPDATE SET boot = excluded.boot,
                            sequence = excluded.sequence, seen_us = excluded.seen_us,
                            report = excluded.report",
                )
                .bind(&seen.node)
                .bind(&seen.boot)
                .bind(seen.sequence)
                .bind(seen.seen_us)
                .bind(&seen.report)
                .execute(&mut *tx)
                .await
                .map_err(failed())?;
            }
            tx.commit().await.map_err(failed())
        })
    }

    /// The last report of each node.
    ///
    /// # Errors
    /// The database.
    pub async fn observed(&self) -> Result<Vec<Observed>, StoreError> {
        let rows: Result<Vec<Row>, _> = on!(self, pool => {
            sqlx::query_as(
                "SELECT node, boot, sequence, seen_us, report FROM node_state
                    ORDER BY node LIMIT $1",
            )
            .bind(ROWS)
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(StoreError::to("list reports"))?;
        let observed = |(node, boot, sequence, seen_us, report)| Observed {
            node,
            boot,
            sequence,
            seen_us,
            report,
        };
        Ok(rows.into_iter().map(observed).collect())
    }
}
