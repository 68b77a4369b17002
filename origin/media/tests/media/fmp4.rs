//! Boxes: what is read of them, what is refused, and that nothing panics.

use proptest::prelude::*;
use weir_origin_media::fmp4::{
    BoxHeader, Fourcc, Fragment, Init, Mp4Error, Sample, Track, segment, starts_with_idr,
};

/// A box around parts.
fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = u32::try_from(body.len() + 8).expect("small").to_be_bytes().to_vec();
    out.extend_from_slice(kind);
    out.extend_from_slice(&body);
    out
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn init_of(timescale: u32, entry: &[u8]) -> Vec<u8> {
    let tkhd = boxed(b"tkhd", &[&words(&[3, 0, 0, 1, 0])]);
    let mdhd = boxed(b"mdhd", &[&words(&[0, 0, 0, timescale, 0, 0])]);
    let stsd = boxed(b"stsd", &[&words(&[0, 1]), entry]);
    let minf = boxed(b"minf", &[&boxed(b"stbl", &[&stsd])]);
    let trak = boxed(b"trak", &[&tkhd, &boxed(b"mdia", &[&mdhd, &minf])]);
    let trex = boxed(b"trex", &[&words(&[0, 1, 1, 512, 100, 0x0001_0000])]);
    let moov = boxed(b"moov", &[&trak, &boxed(b"mvex", &[&trex])]);
    [boxed(b"ftyp", &[b"iso6"]), moov].concat()
}

fn avc_entry() -> Vec<u8> {
    let mut head = vec![0; 78];
    head[24..26].copy_from_slice(&1280u16.to_be_bytes());
    head[26..28].copy_from_slice(&720u16.to_be_bytes());
    let config = boxed(b"avcC", &[&[1, 0x64, 0, 0x1f, 0xff]]);
    boxed(b"avc1", &[&head, &config])
}

fn aac_entry() -> Vec<u8> {
    let mut head = vec![0; 28];
    head[17] = 2;
    head[24..26].copy_from_slice(&48_000u16.to_be_bytes());
    let specific = [5, 2, 0x11, 0x90];
    let decoder = [&[4, 0x80, 0x80, 0x80, 17, 0x40][..], &[0; 12], &specific].concat();
    let elementary = [&[3, 22 + 3, 0, 1, 0][..], &decoder].concat();
    boxed(b"mp4a", &[&head, &boxed(b"esds", &[&words(&[0]), &elementary])])
}

fn moof(traf: &[&[u8]]) -> Vec<u8> {
    boxed(b"traf", traf)
}

#[test]
fn an_init_segment_tells_track_and_codec() {
    let video = Init::parse(&init_of(30_000, &avc_entry())).unwrap();
    assert_eq!((video.track_id, video.timescale), (1, 30_000));
    assert_eq!(video.codec, "avc1.64001F");
    assert_eq!(video.track, Track::Video { width: 1280, height: 720, nal_length: 4 });
    let audio = Init::parse(&init_of(48_000, &aac_entry())).unwrap();
    assert_eq!(audio.codec, "mp4a.40.2");
    assert_eq!(audio.track, Track::Audio { channels: 2, sample_rate: 48_000 });
}

#[test]
fn a_bad_init_segment_says_what_is_wrong() {
    let check = |bytes: &[u8], expected: &str| {
        assert_eq!(Init::parse(bytes).unwrap_err().to_string(), expected);
    };
    check(b"", "there is no moov box");
    check(b"hello, world: this is a text", "o, w is cut short");
    check(&init_of(0, &avc_entry()), "mdhd: has a timescale of zero");
    check(&init_of(25, &boxed(b"hvc1", &[])), "there is no mp4a box");
    check(&boxed(b"moov", &[]), "there is no trak box");
    let whole = init_of(25_000, &avc_entry());
    check(&whole[..whole.len() - 1], "moov is cut short");
}

#[test]
fn a_fragment_tells_samples_by_run_and_by_default() {
    let init = Init::parse(&init_of(30_000, &avc_entry())).unwrap();
    // Defaults of tfhd (duration 1001), sizes and signed offsets by sample, first flags.
    let traf = moof(&[
        &boxed(b"tfhd", &[&words(&[0x0002_0028, 1, 1001, 0x0101_0000])]),
        &boxed(b"tfdt", &[&words(&[0x0100_0000, 0, 60_060])]),
        &boxed(
            b"trun",
            &[&words(&[
                0x0100_0a05,
                3,
                999,
                0x0200_0000,
                50,
                0,
                60,
                3003,
                70,
                (-1001i32).cast_unsigned(),
            ])],
        ),
    ]);
    let fragment = Fragment::parse(&init, &traf).unwrap();
    let sample = |size, shown_after, sync| Sample { duration: 1001, size, shown_after, sync };
    assert_eq!(fragment.base_decode_time, 60_060);
    assert_eq!(
        fragment.samples,
        [sample(50, 0, true), sample(60, 3003, false), sample(70, -1001, false)]
    );
    assert_eq!((fragment.duration(), fragment.payload()), (3003, 180));
    assert_eq!(fragment.shown_from(), 60_060);
    // Defaults of trex where tfhd has none.
    let bare = moof(&[
        &boxed(b"tfhd", &[&words(&[0, 1])]),
        &boxed(b"tfdt", &[&words(&[0, 7])]),
        &boxed(b"trun", &[&words(&[0, 2])]),
    ]);
    let fragment = Fragment::parse(&init, &bare).unwrap();
    let sample = Sample { duration: 512, size: 100, shown_after: 0, sync: false };
    assert_eq!(fragment, Fragment { base_decode_time: 7, samples: vec![sample; 2] });
}

#[test]
fn a_bad_fragment_is_refused() {
    let init = Init::parse(&init_of(30_000, &avc_entry())).unwrap();
    let check = |tfhd: &[u32], trun: &[u32], expected: &str| {
        let traf = moof(&[
            &boxed(b"tfhd", &[&words(tfhd)]),
            &boxed(b"tfdt", &[&words(&[0, 0])]),
            &boxed(b"trun", &[&words(trun)]),
        ]);
        assert_eq!(Fragment::parse(&init, &traf).unwrap_err().to_string(), expected);
    };
    check(&[0, 2], &[0, 1], "tfhd: belongs to another track");
    check(&[0, 1], &[0, 0], "moof: holds no samples");
    // Four thousand million samples in no bytes: nothing is allocated for them.
    check(&[0, 1], &[0, u32::MAX], "trun: claims more samples than a fragment has");
    check(&[0, 1], &[0x200, 2, 10], "trun is cut short");
    assert_eq!(Fragment::parse(&init, b"").unwrap_err(), Mp4Error::Missing(Fourcc(*b"traf")));
}

#[test]
fn box_headers() {
    let check = |bytes: &[u8], expected: Result<Option<(usize, Option<u64>)>, ()>| {
        let got = BoxHeader::parse(bytes).map(|h| h.map(|h| (h.header, h.size))).map_err(|_| ());
        assert_eq!(got, expected, "{bytes:?}");
    };
    check(b"", Ok(None));
    check(b"\0\0\0\x08moo", Ok(None));
    check(b"\0\0\0\x08moof", Ok(Some((8, Some(8)))));
    check(b"\0\0\0\0mdat", Ok(Some((8, None))));
    check(b"\0\0\0\x01mdat\0\0\0\0", Ok(None));
    check(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0", Ok(Some((16, Some(1 << 32)))));
    check(b"\0\0\0\x07moof", Err(()));
    check(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f", Err(()));
}

#[test]
fn an_idr_picture_is_told_from_others() {
    let unit = |kind: u8| [&[0, 0, 0, 2][..], &[0x60 | kind, 0xaa]].concat();
    let check = |kinds: &[u8], expected: bool| {
        let sample: Vec<u8> = kinds.iter().flat_map(|kind| unit(*kind)).collect();
        assert_eq!(starts_with_idr(&sample, 4), expected, "{kinds:?}");
    };
    // Delimiter, parameter sets and SEI may stand before it.
    check(&[5], true);
    check(&[9, 7, 8, 6, 5], true);
    check(&[6, 1], false);
    check(&[1, 5], false);
    check(&[7, 8], false);
    check(&[], false);
    assert!(!starts_with_idr(&[0, 0, 0, 9, 0x65], 4), "longer than the sample");
    assert!(!starts_with_idr(&[0, 0, 0, 0], 4), "empty unit");
    assert!(!starts_with_idr(&[0x65], 0), "no length");
}

#[test]
fn a_written_segment_reads_back() {
    let init = Init::parse(&init_of(48_000, &aac_entry())).unwrap();
    let samples = [(1024, 3), (1024, 2), (128, 1)].map(|(duration, size)| Sample {
        duration,
        size,
        shown_after: 0,
        sync: true,
    });
    let bytes = segment(7, 1, 5_000_000_000, &samples, b"abcdef");
    let mut at = 0;
    let mut kinds = Vec::new();
    while at < bytes.len() {
        let header = BoxHeader::parse(&bytes[at..]).unwrap().unwrap();
        let size = usize::try_from(header.size.unwrap()).unwrap();
        let body = &bytes[at + header.header..at + size];
        if header.kind == Fourcc(*b"moof") {
            let fragment = Fragment::parse(&init, body).unwrap();
            assert_eq!(fragment.base_decode_time, 5_000_000_000);
            assert_eq!(fragment.samples, samples);
            // The data offset counts from the moof and lands on the payload.
            let trun = body.windows(4).position(|w| w == b"trun").unwrap();
            let field: [u8; 4] = body[trun + 12..trun + 16].try_into().unwrap();
            let offset = usize::try_from(u32::from_be_bytes(field)).unwrap();
            assert_eq!(&bytes[at + offset..at + offset + 6], b"abcdef");
        }
        kinds.push(header.kind.to_string());
        at += size;
    }
    assert_eq!(kinds, ["styp", "moof", "mdat"]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = BoxHeader::parse(&bytes);
        let _ = Init::parse(&bytes);
        for length in 0..5 {
            let _ = starts_with_idr(&bytes, length);
        }
        let init = Init::parse(&init_of(30_000, &avc_entry())).unwrap();
        let _ = Fragment::parse(&init, &bytes);
    }

    #[test]
    fn no_damage_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        audio in any::<bool>(),
    ) {
        let entry = if audio { aac_entry() } else { avc_entry() };
        let mut bytes = init_of(30_000, &entry);
        for (at, value) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        let _ = Init::parse(&bytes);
        let _ = Init::parse(&bytes[..cut.index(bytes.len())]);
        let init = Init::parse(&init_of(30_000, &entry)).unwrap();
        let sample = Sample { duration: 1024, size: 1, shown_after: 0, sync: true };
        let mut bytes = segment(1, 1, 0, &[sample; 9], &[0; 9]);
        for (at, value) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        // styp is 24 bytes long, the header of moof 8.
        if let Ok(fragment) = Fragment::parse(&init, &bytes[32..]) {
            let _ = (fragment.duration(), fragment.payload(), fragment.shown_from());
        }
    }
}
