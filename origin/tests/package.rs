//! `weir-origin package` as a person runs it, on real clips, with a real ffmpeg.

mod package {
    mod bad;
    mod bench;
    mod film;
    mod interrupted;
    mod server;
    mod shapes;
}
