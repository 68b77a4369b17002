//! RFC 9110 §14.6: the frame around several ranges.

use http::HeaderValue;
use weir_edge_freshness::{ByteRange, Multipart};

#[test]
fn rfc9110_14_6_body() {
    let whole = b"0123456789";
    let content_type = HeaderValue::from_static("video/mp4");
    let ranges = [ByteRange { first: 8, last: 9 }, ByteRange { first: 0, last: 2 }];
    let parts = Multipart {
        boundary: "7a",
        content_type: Some(&content_type),
        size: whole.len() as u64,
        ranges: &ranges,
    };
    let mut body = Vec::new();
    for range in ranges {
        body.extend_from_slice(&parts.head(range));
        body.extend_from_slice(&whole[range.first as usize..range.end() as usize]);
    }
    body.extend_from_slice(&parts.tail());
    let expected = "\r\n--7a\r\nContent-Type: video/mp4\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
                    \r\n--7a\r\nContent-Type: video/mp4\r\nContent-Range: bytes 0-2/10\r\n\r\n012\
                    \r\n--7a--\r\n";
    assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    assert_eq!(parts.length(), body.len() as u64);
    assert_eq!(parts.content_type(), "multipart/byteranges; boundary=7a");
}
