//! Requests of HTTP/3 as their bytes tell them (RFC 9114 §4, RFC 9204), and a client's streams
//! beside them: control and QPACK.

use weir_edge_http::message::{Control, Instructions, Malformed, Message};

use crate::fields::prefix;

/// Small, so that inputs reach it.
const SECTION_MAX: usize = 256;

pub(crate) fn run(input: &[u8]) {
    let ([cut], stream) = prefix::<1>(input);
    let whole = verdict(stream, stream.len());
    assert_eq!(verdict(stream, usize::from(cut)), whole, "in pieces of {cut}");
    assert_eq!(verdict(stream, 1), whole, "byte by byte");
    if let Err(why) = whole {
        assert!(Malformed::ALL.contains(&why));
        assert!(why != Malformed::PushStream, "{why}: not seen here");
    }
}

/// The same bytes as a control stream and as the two of QPACK.
pub(crate) fn streams(input: &[u8]) {
    let ([cut], stream) = prefix::<1>(input);
    for cut in [usize::from(cut).max(1), 1] {
        let pieces = || stream.chunks(cut);
        let mut control = Control::new(SECTION_MAX);
        let mut whole = Control::new(SECTION_MAX);
        let seen = pieces().try_for_each(|piece| control.take(piece));
        assert_eq!(seen, whole.take(stream), "a control stream in pieces of {cut}");
        assert_eq!(control.frames(), whole.frames());
        for make in [Instructions::encoder, Instructions::decoder] {
            let (mut cut_up, mut whole) = (make(), make());
            let seen = pieces().try_for_each(|piece| cut_up.take(piece));
            assert_eq!(seen, whole.take(stream), "instructions in pieces of {cut}");
            assert_eq!(cut_up.seen(), whole.seen());
        }
    }
}

fn verdict(stream: &[u8], cut: usize) -> Result<(), Malformed> {
    let mut message = Message::new(SECTION_MAX);
    for piece in stream.chunks(cut.max(1)) {
        if let Err(why) = message.take(piece) {
            assert_eq!(message.take(&[]), Err(why), "a verdict stays");
            assert_eq!(message.end(), Err(why), "a verdict stays");
            return Err(why);
        }
    }
    message.end()
}
