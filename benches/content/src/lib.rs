//! Content that proves itself: every 32-byte cell names its object, version and place.
