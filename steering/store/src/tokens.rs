//! Join tokens. Of the token itself only a hash is kept.

use crate::{ROWS, Store, StoreError, on};

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What people and events call it.
    pub id: String,
    /// SHA-256 of the token, in hexadecimal.
    pub hash: String,
    /// The site it lets into; empty: any.
    pub site: String,
    /// The one node it is for; empty: any that is not there yet.
    pub node: String,
    /// How often it may be used.
    pub uses: i64,
    /// And how often still.
    pub uses_left: i64,
    /// When it was made.
    pub created_us: i64,
    /// When its time is over.
    pub expires_us: i64,
    /// When it was taken back.
    pub revoked_us: Option<i64>,
}

type Row = (String, String, String, String, i64, i64, i64, i64, Option<i64>);

impl From<Row> for Token {
    fn from(row: Row) -> Self {
        let (id, hash, site, node, uses, uses_left, created_us, expires_us, revoked_us) = row;
        Self { id, hash, site, node, uses, uses_left, created_us, expires_us, revoked_us }
    }
}

impl Store {
    /// Keeps a new token.
    ///
    /// # Errors
    /// The database.
    pub async fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        let done = on!(self, pool => {
            sqlx::query(
                "INSERT INTO join_tokens (id, hash, site, node, uses, uses_left, created_us,
                    expires_us, revoked_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(&token.id)
            .bind(&token.hash)
            .bind(&token.site)
            .bind(&token.node)
            .bind(token.uses)
            .bind(token.uses_left)
            .bind(token.created_us)
            .bind(token.expires_us)
            .bind(token.revoked_us)
            .execute(pool)
            .await
            .map(drop)
        });
        done.map_err(StoreError::to("keep a token"))
    }

    /// The token of a hash.
    ///
    /// # Errors
    /// The database.
    pub async fn token(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        let row: Result<Option<Row>, _> = on!(self, pool => {
            sqlx::query_as(
                "SELECT id, hash, site, node, uses, uses_left, created_us, expires_us, revoked_us
                    FROM join_tokens WHERE hash = $1",
            )
            .bind(hash)
            .fetch_optional(pool)
            .await
        });
        Ok(row.map_err(StoreError::to("find a token"))?.map(Token::from))
    }

    /// All tokens, the newest first.
    ///
    /// # Errors
    /// The database.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let rows: Result<Vec<Row>, _> = on!(self, pool => {
            sqlx::query_as(
                "SELECT id, hash, site, node, uses, uses_left, created_us, expires_us, revoked_us
                    FROM join_tokens ORDER BY created_us DESC, id LIMIT $1",
            )
            .bind(ROWS)
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(StoreError::to("list tokens"))?;
        Ok(rows.into_iter().map(Token::from).collect())
    }

    /// Takes a token back; whether there was one that could still be used.
    ///
    /// # Errors
    /// The database.
    pub async fn revoke_token(&self, id: &str, now_us: i64) -> Result<bool, StoreError> {
        let done = on!(self, pool => {
            sqlx::query(
                "UPDATE join_tokens SET revoked_us = $2 WHERE id = $1 AND revoked_us IS NULL",
            )
            .bind(id)
            .bind(now_us)
            .execute(pool)
            .await
            .map(|done| done.rows_affected())
        });
        Ok(done.map_err(StoreError::to("take a token back"))? > 0)
    }

    /// Forgets tokens whose time was over before `before_us`; how many.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_tokens(&self, before_us: i64) -> Result<u64, StoreError> {
        let done = on!(self, pool => {
            sqlx::query("DELETE FROM join_tokens WHERE expires_us < $1")
                .bind(before_us)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        });
        done.map_err(StoreError::to("forget tokens"))
    }
}
