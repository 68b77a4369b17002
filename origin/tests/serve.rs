//! `weir-origin serve` from outside: through the AWS SDK, by requests written by hand, and as
//! a process that is killed.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod serve {
    mod bench;
    mod operators;
    mod process;
    mod reading;
    mod rights;
    mod writing;
}
