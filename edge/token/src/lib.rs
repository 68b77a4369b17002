//! Playback tokens: mint and verify; pure.
