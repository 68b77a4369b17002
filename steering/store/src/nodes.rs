//! Nodes as operators want them, and their certificates.

use crate::{ROWS, Store, StoreError, on};

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// What is wanted of it: a word of the protocol.
    pub state: String,
    /// Until when, where that ends by itself.
    pub until_us: Option<i64>,
    /// Counts what was wanted.
    pub intent: i64,
    /// JSON, names to texts.
    pub labels: String,
    /// When it joined last.
    pub joined_us: i64,
    /// When any of this changed last.
    pub updated_us: i64,
}

/// A certificate that was given to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Whose.
    pub node: String,
    /// From when.
    pub issued_us: i64,
    /// Until when.
    pub ends_us: i64,
    /// When it was taken back.
    pub revoked_us: Option<i64>,
}

type NodeRow = (String, String, String, Option<i64>, i64, String, i64, i64);

impl From<NodeRow> for Node {
    fn from(row: NodeRow) -> Self {
        let (name, site, state, until_us, intent, labels, joined_us, updated_us) = row;
        Self { name, site, state, until_us, intent, labels, joined_us, updated_us }
    }
}

type CertificateRow = (String, String, i64, i64, Option<i64>);

impl From<CertificateRow> for Certificate {
    fn from((serial, node, issued_us, ends_us, revoked_us): CertificateRow) -> Self {
        Self { serial, node, issued_us, ends_us, revoked_us }
    }
}

impl Store {
    /// All nodes, by name.
    ///
    /// # Errors
    /// The database.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let rows: Result<Vec<NodeRow>, _> = on!(self, pool => {
            sqlx::query_as(
                "SELECT name, site, state, until_us, intent, labels, joined_us, updated_us
                    FROM nodes ORDER BY name LIMIT $1",
            )
            .bind(ROWS)
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(StoreError::to("list nodes"))?;
        Ok(rows.into_iter().map(Node::from).collect())
    }

    /// Says what is wanted of a node; the node then, none where there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn want(
        &self,
        name: &str,
        state: &str,
        until_us: Option<i64>,
        now_us: i64,
    ) -> Result<Option<Node>, StoreError> {
        let row: Result<Option<NodeRow>, _> = on!(self, pool => {
            sqlx::query_as(
                "UPDATE nodes SET state = $2, until_us = $3, intent = intent + 1, updated_us = $4
                    WHERE name = $1
                    RETURNING name, site, state, until_us, intent, labels, joined_us, updated_us",
            )
            .bind(name)
            .bind(state)
            .bind(until_us)
            .bind(now_us)
            .fetch_optional(pool)
            .await
        });
        Ok(row.map_err(StoreError::to("change a node"))?.map(Node::from))
    }

    /// Replaces the labels of a node; the node then, none where there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn label(
        &self,
        name: &str,
        labels: &str,
        now_us: i64,
    ) -> Result<Option<Node>, StoreError> {
        let row: Result<Option<NodeRow>, _> = on!(self, pool => {
            sqlx::query_as(
                "UPDATE nodes SET labels = $2, updated_us = $3 WHERE name = $1
                    RETURNING name, site, state, until_us, intent, labels, joined_us, updated_us",
            )
            .bind(name)
            .bind(labels)
            .bind(now_us)
            .fetch_optional(pool)
            .await
        });
        Ok(row.map_err(StoreError::to("label a node"))?.map(Node::from))
    }

    /// Forgets a node with its certificates and its state; its history stays. Whether there was one.
    ///
    /// # Errors
    /// The database.
    pub async fn forget(&self, name: &str) -> Result<bool, StoreError> {
        let done = on!(self, pool => {
            sqlx::query("DELETE FROM nodes WHERE name = $1")
                .bind(name)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        });
        Ok(done.map_err(StoreError::to("forget a node"))? > 0)
    }

    /// Keeps a node's next certificate.
    ///
    /// # Errors
    /// The database.
    pub async fn add_certificate(&self, certificate: &Certificate) -> Result<(), StoreError> {
        let done = on!(self, pool => {
            sqlx::query(
                "INSERT INTO node_certs (serial, node, issued_us, ends_us, revoked_us)
                    VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&certificate.serial)
            .bind(&certificate.node)
            .bind(certificate.issued_us)
            .bind(certificate.ends_us)
            .bind(certificate.revoked_us)
            .execute(pool)
            .await
            .map(drop)
        });
        done.map_err(StoreError::to("keep a certificate"))
    }

    /// The certificates that end after `now_us`, those that were taken back with them.
    ///
    /// # Errors
    /// The database.
    pub async fn certificates(&self, now_us: i64) -> Result<Vec<Certificate>, StoreError> {
        let rows: Result<Vec<CertificateRow>, _> = on!(self, pool => {
            sqlx::query_as(
                "SELECT serial, node, issued_us, ends_us, revoked_us FROM node_certs
                    WHERE ends_us > $1 ORDER BY node, ends_us LIMIT $2",
            )
            .bind(now_us)
            .bind(ROWS)
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(StoreError::to("list certificates"))?;
        Ok(rows.into_iter().map(Certificate::from).collect())
    }

    /// Takes all certificates of a node back; how many there were.
    ///
    /// # Errors
    /// The database.
    pub async fn revoke_certificates(&self, node: &str, now_us: i64) -> Result<u64, StoreError> {
        let done = on!(self, pool => {
            sqlx::query(
                "UPDATE node_certs SET revoked_us = $2 WHERE node = $1 AND revoked_us IS NULL",
            )
            .bind(node)
            .bind(now_us)
            .execute(pool)
            .await
            .map(|done| done.rows_affected())
        });
        done.map_err(StoreError::to("take certificates back"))
    }

    /// Forgets certificates that ended before `before_us`; how many.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_certificates(&self, before_us: i64) -> Result<u64, StoreError> {
        let done = on!(self, pool => {
            sqlx::query("DELETE FROM node_certs WHERE ends_us < $1")
                .bind(before_us)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        });
        done.map_err(StoreError::to("forget certificates"))
    }
}
