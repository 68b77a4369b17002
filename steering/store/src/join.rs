//! A node joins: its token loses a use, the node and its certificate are there, and it is written
//! down; all of it or nothing.

use crate::{Certificate, Event, JoinError, Store, StoreError, on};

/// Who joins with what.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Of the token, as it is kept.
    pub token: String,
    /// The node's name.
    pub node: String,
    /// Its site.
    pub site: String,
    /// Whether it may take the place of a node of that name, whose certificates end with that.
    pub again: bool,
    /// What it gets.
    pub certificate: Certificate,
    /// What is written down.
    pub event: Event,
    /// Now.
    pub now_us: i64,
}

impl Store {
    /// Does it.
    ///
    /// # Errors
    /// The token was used up meanwhile, the name is taken, or the database fails; nothing has
    /// changed then.
    pub async fn join(&self, joining: &Joining) -> Result<(), JoinError> {
        let Joining { token, node, site, again, certificate, event, now_us } = joining;
        let failed = || StoreError::to("let a node join");
        on!(self, pool => {
            let mut tx = pool.begin().await.map_err(failed())?;
            let used = sqlx::query(
                "UPDATE join_tokens SET uses_left = uses_left - 1 WHERE id = $1
                    AND uses_left > 0 AND revoked_us IS NULL AND expires_us > $2",
            )
            .bind(token)
            .bind(now_us)
            .execute(&mut *tx)
            .await
            .map_err(failed())?;
            if used.rows_affected() != 1 {
                // What is dropped is rolled back.
                return Err(JoinError::Token);
            }
            sqlx::query(
                "INSERT INTO sites (name, domain, created_us) VALUES ($1, $1, $2)
                    ON CONFLICT (name) DO NOTHING",
            )
            .bind(site)
            .bind(now_us)
            .execute(&mut *tx)
            .await
            .map_err(failed())?;
            let made = sqlx::query(
                "INSERT INTO nodes (name, site, state, until_us, intent, labels, joined_us,
                    updated_us) VALUES ($1, $2, 'serving', NULL, 0, '{}', $3, $3)
                    ON CONFLICT (name) DO NOTHING",
            )
            .bind(node)
            .bind(site)
            .bind(now_us)
            .execute(&mut *tx)
            .await
            .map_err(failed())?;
            if made.rows_affected() == 0 {
                if !again {
                    return Err(JoinError::Exists);
                }
                sqlx::query(
                    "UPDATE nodes SET site = $2, joined_us = $3, updated_us = $3 WHERE name = $1",
                )
                .bind(node)
                .bind(site)
                .bind(now_us)
                .execute(&mut *tx)
                .await
                .map_err(failed())?;
                sqlx::query(
                    "UPDATE node_certs SET revoked_us = $2 WHERE node = $1 AND revoked_us IS NULL",
                )
                .bind(node)
                .bind(now_us)
                .execute(&mut *tx)
                .await
                .map_err(failed())?;
            }
            sqlx::query(
                "INSERT INTO node_certs (serial, node, issued_us, ends_us, revoked_us)
                    VALUES ($1, $2, $3, $4, NULL)",
            )
            .bind(&certificate.serial)
            .bind(node)
            .bind(certificate.issued_us)
            .bind(certificate.ends_us)
            .execute(&mut *tx)
            .await
            .map_err(failed())?;
            sqlx::query(
                "INSERT INTO node_events (id, node, at_us, kind, detail)
                    VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&event.id)
            .bind(&event.node)
            .bind(event.at_us)
            .bind(&event.kind)
            .bind(&event.detail)
            .execute(&mut *tx)
            .await
            .map_err(failed())?;
            tx.commit().await.map_err(failed())?;
        });
        Ok(())
    }
}
