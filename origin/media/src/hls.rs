//! HLS playlists, RFC 8216 with fMP4 segments (protocol version 7). Every URI is relative,
//! so that a token in the path and any host carry over.

use std::fmt::Write as _;

use crate::{
    key,
    presentation::{Presentation, Rendition, RenditionKind, micros, target_duration},
};

/// A player that has measured nothing yet starts with the first variant: the best one that
/// an ordinary line surely carries.
const FIRST_VARIANT_BITS: u64 = 2_000_000;

/// The multivariant playlist (RFC 8216 §4.3.4).
pub fn multivariant(presentation: &Presentation) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\n");
    for (at, audio) in presentation.audio.iter().enumerate() {
        let RenditionKind::Audio { channels, language, .. } = &audio.kind else { continue };
        out.push_str("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\"");
        let name = language.as_deref().unwrap_or("Main");
        let _ = write!(out, ",NAME=\"{name}\"");
        if let Some(language) = language {
            let _ = write!(out, ",LANGUAGE=\"{language}\"");
        }
        let default = if at == 0 { "YES" } else { "NO" };
        let _ = writeln!(
            out,
            ",DEFAULT={default},AUTOSELECT=YES,CHANNELS=\"{channels}\",URI=\"{}/{}\"",
            audio.id,
            key::MEDIA_PLAYLIST
        );
    }
    if !presentation.audio.is_empty() {
        out.push('\n');
    }
    for video in start_order(presentation) {
        variant(&mut out, video, &presentation.audio);
    }
    out
}

/// The rung to start with, then the others, highest first.
fn start_order(presentation: &Presentation) -> Vec<&Rendition> {
    let mut order: Vec<&Rendition> = presentation.video.iter().collect();
    let fits = |r: &&Rendition| r.peak_bits_per_second() <= FIRST_VARIANT_BITS;
    if let Some(at) = order.iter().position(fits) {
        let first = order.remove(at);
        order.insert(0, first);
    }
    order
}

fn variant(out: &mut String, video: &Rendition, audio: &[Rendition]) {
    let RenditionKind::Video { width, height, rate } = video.kind else { return };
    // Any rendition of the group may play with any variant, so the dearest counts.
    let peak = audio.iter().map(Rendition::peak_bits_per_second).max().unwrap_or(0);
    let average = audio.iter().map(Rendition::average_bits_per_second).max().unwrap_or(0);
    let mut codecs = video.codec.clone();
    for rendition in audio {
        if !codecs.contains(&rendition.codec) {
            let _ = write!(codecs, ",{}", rendition.codec);
        }
    }
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{codecs}\",\
         RESOLUTION={width}x{height},FRAME-RATE={:.3}",
        video.peak_bits_per_second() + peak,
        video.average_bits_per_second() + average,
        rate.as_f64(),
    );
    if !audio.is_empty() {
        out.push_str(",AUDIO=\"audio\"");
    }
    let _ = write!(out, "\n{}/{}\n", video.id, key::MEDIA_PLAYLIST);
}

/// A rendition's media playlist (RFC 8216 §4.3.3).
pub fn media(rendition: &Rendition) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    let _ = writeln!(out, "#EXT-X-TARGETDURATION:{}", target_duration(rendition));
    out.push_str("#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}\"", key::INIT);
    let mut end_ticks = 0;
    let mut written = 0;
    for (at, segment) in rendition.segments.iter().enumerate() {
        // Each end is rounded, not each length: the sum never drifts from the film.
        end_ticks += segment.duration;
        let end = micros(end_ticks, rendition.timescale);
        let lasts = end - written;
        written = end;
        let _ = writeln!(
            out,
            "#EXTINF:{}.{:06},\n{}",
            lasts / 1_000_000,
            lasts % 1_000_000,
            key::segment_name(at + 1)
        );
    }
    out.push_str("#EXT-X-ENDLIST\n");
    out
}
