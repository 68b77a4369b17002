//! Scripted origins and clients for tests and benches.
