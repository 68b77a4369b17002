//! The edge server: HLS and DASH segments from a hybrid cache over HTTP/1.1, 2 and 3.

fn main() {}
