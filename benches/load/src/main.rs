//! A load client for HTTP/1.1, 2 and 3 that checks every byte.

fn main() {}
