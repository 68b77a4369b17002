//! What a Weir process is told: typed TOML, every mistake reported at once.
