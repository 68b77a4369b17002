//! HTTP caching, range and conditional rules as pure functions.
