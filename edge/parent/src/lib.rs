//! Fetching from an HTTP parent: a shield, a peer or a custom origin.
