//! Sites: the nodes of one place.

use crate::{ROWS, Store, StoreError, on};

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// What fails together with it: sites of one domain do not stand in for each other.
    pub domain: String,
    /// When it was first heard of.
    pub created_us: i64,
}

type Row = (String, String, i64);

impl Store {
    /// Makes a site, or moves it to another failure domain.
    ///
    /// # Errors
    /// The database.
    pub async fn put_site(&self, site: &Site) -> Result<(), StoreError> {
        let done = on!(self, pool => {
            sqlx::query(
                "INSERT INTO sites (name, domain, created_us) VALUES ($1, $2, $3)
                    ON CONFLICT (name) DO UPDATE SET domain = excluded.domain",
            )
            .bind(&site.name)
            .bind(&site.domain)
            .bind(site.created_us)
            .execute(pool)
            .await
            .map(drop)
        });
        done.map_err(StoreError::to("keep a site"))
    }

    /// All sites, by name.
    ///
    /// # Errors
    /// The database.
    pub async fn sites(&self) -> Result<Vec<Site>, StoreError> {
        let rows: Result<Vec<Row>, _> = on!(self, pool => {
            sqlx::query_as("SELECT name, domain, created_us FROM sites ORDER BY name LIMIT $1")
                .bind(ROWS)
                .fetch_all(pool)
                .await
        });
        let rows = rows.map_err(StoreError::to("list sites"))?;
        let site = |(name, domain, created_us)| Site { name, domain, created_us };
        Ok(rows.into_iter().map(site).collect())
    }
}
