//! Titles, ladders, segments and object keys; HLS and DASH writers; pure.
