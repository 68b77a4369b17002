//! The DASH manifest, ISO/IEC 23009-1: static, `SegmentTimeline` from real durations, the
//! same segments as HLS, every URL relative.

use std::fmt::Write as _;

use crate::{
    key,
    presentation::{Presentation, Rendition, RenditionKind, micros},
};

/// The MPD of a title.
pub fn mpd(presentation: &Presentation) -> String {
    let all = || presentation.video.iter().chain(&presentation.audio);
    let length = presentation.video.iter().map(Rendition::duration_micros).max().unwrap_or(0);
    let longest = all()
        .flat_map(|r| r.segments.iter().map(|s| micros(s.duration, r.timescale)))
        .max()
        .unwrap_or(0);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    let _ = writeln!(
        out,
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019\" \
         type=\"static\" mediaPresentationDuration=\"{}\" maxSegmentDuration=\"{}\" \
         minBufferTime=\"{}\">",
        period(length),
        period(longest),
        period(longest)
    );
    let _ = writeln!(out, "  <Period id=\"0\" start=\"PT0S\" duration=\"{}\">", period(length));
    if !presentation.video.is_empty() {
        video_set(&mut out, &presentation.video);
    }
    for (at, audio) in presentation.audio.iter().enumerate() {
        audio_set(&mut out, at + 2, audio);
    }
    out.push_str("  </Period>\n</MPD>\n");
    out
}

fn video_set(out: &mut String, rungs: &[Rendition]) {
    let (mut max_width, mut max_height, mut frames) = (0, 0, String::new());
    for rung in rungs {
        if let RenditionKind::Video { width, height, rate } = rung.kind {
            (max_width, max_height) = (max_width.max(width), max_height.max(height));
            frames = rate.to_string();
        }
    }
    let _ = writeln!(
        out,
        "    <AdaptationSet id=\"1\" contentType=\"video\" mimeType=\"video/mp4\" \
         segmentAlignment=\"true\" startWithSAP=\"1\" maxWidth=\"{max_width}\" \
         maxHeight=\"{max_height}\" frameRate=\"{frames}\">"
    );
    out.push_str("      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/>\n");
    template(out, &rungs[0]);
    for rung in rungs {
        let RenditionKind::Video { width, height, .. } = rung.kind else { continue };
        let _ = writeln!(
            out,
            "      <Representation id=\"{}\" bandwidth=\"{}\" codecs=\"{}\" width=\"{width}\" \
             height=\"{height}\" sar=\"1:1\"/>",
            rung.id,
            rung.peak_bits_per_second(),
            rung.codec
        );
    }
    out.push_str("    </AdaptationSet>\n");
}

fn audio_set(out: &mut String, id: usize, audio: &Rendition) {
    let RenditionKind::Audio { sample_rate, channels, language } = &audio.kind else { return };
    let _ = write!(out, "    <AdaptationSet id=\"{id}\" contentType=\"audio\"");
    if let Some(language) = language {
        let _ = write!(out, " lang=\"{language}\"");
    }
    out.push_str(" mimeType=\"audio/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\">\n");
    let role = if id == 2 { "main" } else { "alternate" };
    let _ = writeln!(out, "      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{role}\"/>");
    template(out, audio);
    let _ = writeln!(
        out,
        "      <Representation id=\"{}\" bandwidth=\"{}\" codecs=\"{}\" \
         audioSamplingRate=\"{sample_rate}\">",
        audio.id,
        audio.peak_bits_per_second(),
        audio.codec
    );
    let _ = writeln!(
        out,
        "        <AudioChannelConfiguration \
         schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" \
         value=\"{channels}\"/>"
    );
    out.push_str("      </Representation>\n    </AdaptationSet>\n");
}

/// Segment names and the timeline, equal lengths folded by `r` (ISO/IEC 23009-1 §5.3.9.6).
fn template(out: &mut String, rendition: &Rendition) {
    let _ = writeln!(
        out,
        "      <SegmentTemplate timescale=\"{}\" startNumber=\"1\" \
         initialization=\"$RepresentationID$/{}\" media=\"$RepresentationID$/seg-$Number$.m4s\">",
        rendition.timescale,
        key::INIT
    );
    out.push_str("        <SegmentTimeline>\n");
    let mut at = 0;
    let mut time = String::from(" t=\"0\"");
    while at < rendition.segments.len() {
        let lasts = rendition.segments[at].duration;
        let run = rendition.segments[at..].iter().take_while(|s| s.duration == lasts).count();
        let _ = write!(out, "          <S{time} d=\"{lasts}\"");
        if run > 1 {
            let _ = write!(out, " r=\"{}\"", run - 1);
        }
        out.push_str("/>\n");
        time.clear();
        at += run;
    }
    out.push_str("        </SegmentTimeline>\n      </SegmentTemplate>\n");
}

/// `xs:duration` in seconds.
fn period(micros: u64) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    if part == 0 {
        return format!("PT{whole}S");
    }
    let digits = format!("{part:06}");
    format!("PT{whole}.{}S", digits.trim_end_matches('0'))
}
