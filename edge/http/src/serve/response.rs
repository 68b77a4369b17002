//! A response as it goes to the wire: no body where the protocol has none, a length that is
//! true, and pieces of a size that suits the framing.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};

use crate::{
    body::{BodyError, ResponseBody},
    handler::{Protocol, Response},
    serve::{
        date::Dates,
        passage::{Passage, Slow},
        state::Running,
    },
};

/// An HTTP/2 DATA frame of this payload and its 9 bytes of header fill one TLS record of
/// 16,384; the 16,384 bytes of payload that peers allow would make two.
const H2_PIECE: usize = 16_375;

/// A QUIC stream is written in pieces; measured best between 16 and 64 KiB.
const H3_PIECE: usize = 64 * 1024;

const ALT_SVC: HeaderName = HeaderName::from_static("alt-svc");

/// What the handler answered, ready for the wire.
pub(crate) fn finish(
    method: &Method,
    version: Version,
    mut response: Response,
    alt_svc: Option<&HeaderValue>,
    dates: &Dates,
    running: Running,
) -> http::Response<WireBody> {
    let protocol = running.state().protocol();
    if let Err(why) = settle_length(method, &mut response) {
        tracing::error!(status = %response.status(), "response refused: {why}");
        response = plain(StatusCode::INTERNAL_SERVER_ERROR, "");
    }
    let headers = response.headers_mut();
    for name in [header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
    if protocol != Protocol::H1 {
        headers.remove(header::CONNECTION);
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
    }
    dates.date(headers);
    if let Some(value) = alt_svc {
        headers.entry(ALT_SVC).or_insert_with(|| value.clone());
    }
    response.map(|body| WireBody::new(body, version, running))
}

/// RFC 9110 §6.4.1, §8.6: which answers have no body, and what Content-Length may say.
fn settle_length(method: &Method, response: &mut Response) -> Result<(), &'static str> {
    let status = response.status();
    if status.is_informational() {
        return Err("an informational status is no answer");
    }
    let declared = match response.headers().get(header::CONTENT_LENGTH) {
        None => None,
        Some(value) => {
            let number = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
            Some(number.ok_or("Content-Length is no number")?)
        }
    };
    let known = response.body().remaining();
    if method == Method::HEAD {
        if let (None, Some(length @ 1..)) = (declared, known) {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = ResponseBody::empty();
    } else if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        if status == StatusCode::NO_CONTENT {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        *response.body_mut() = ResponseBody::empty();
    } else {
        match (declared, known) {
            (Some(declared), Some(known)) if declared != known => {
                return Err("Content-Length and the body differ");
            }
            (Some(declared), None) => response.body_mut().declare(declared),
            (None, Some(known)) => {
                let length = HeaderValue::from(known);
                response.headers_mut().insert(header::CONTENT_LENGTH, length);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A short answer of the server's own.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(if text.is_empty() {
        ResponseBody::empty()
    } else {
        ResponseBody::full(format!("{text}\n"))
    });
    *response.status_mut() = status;
    if !text.is_empty() {
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// A response body cut into pieces, which also says when the request is over.
pub(crate) struct WireBody {
    body: ResponseBody,
    piece: Bytes,
    cut: usize,
    /// The client takes the end of the connection for the end of the body.
    ends_with_connection: bool,
    /// Held back for one poll.
    error: Option<BodyError>,
    /// More could go out, and nobody asks for it: the client has given no window.
    offered: bool,
    /// Where each body has a window of its own.
    passage: Option<Passage>,
    running: Running,
}

impl WireBody {
    fn new(body: ResponseBody, version: Version, mut running: Running) -> Self {
        let cut = match running.state().protocol() {
            Protocol::H1 => usize::MAX,
            Protocol::H2 => H2_PIECE,
            Protocol::H3 => H3_PIECE,
        };
        if body.is_end_stream() {
            running.finished();
        }
        let ends_with_connection = version <= Version::HTTP_10 && body.remaining().is_none();
        let (piece, offered) = (Bytes::new(), false);
        let windowed = running.state().protocol() == Protocol::H2 && !body.is_end_stream();
        let passage = windowed.then(|| running.passage(Slow::Response));
        let mut wire =
            Self { body, piece, cut, ends_with_connection, error: None, offered, passage, running };
        wire.offer(!wire.is_end_stream());
        wire
    }

    /// h2 asks a body for more when its stream's window lets it.
    fn offer(&mut self, offered: bool) {
        if self.offered != offered {
            self.offered = offered;
            self.running.state().offer(offered);
            if let Some(passage) = &self.passage {
                passage.waits(offered);
            }
        }
    }

    /// hyper closes or resets at once and throws away what it has not written yet; one poll more
    /// and the client has all that we had.
    fn hold_back(&mut self, error: BodyError, cx: &mut Context<'_>) {
        self.running.broke();
        if self.ends_with_connection {
            self.running.state().set_reset();
        }
        self.error = Some(error);
        cx.waker().wake_by_ref();
    }
}

impl Drop for WireBody {
    fn drop(&mut self) {
        self.offer(false);
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        this.offer(false);
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        while this.piece.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are dropped: nothing we serve has any.
                    if let Ok(piece) = frame.into_data() {
                        this.piece = piece;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.hold_back(error, cx);
                    return Poll::Pending;
                }
                Poll::Ready(None) => {
                    this.running.finished();
                    return Poll::Ready(None);
                }
            }
        }
        let piece = this.piece.split_to(this.cut.min(this.piece.len()));
        let state = this.running.state();
        state.counters.body_sent(piece.len());
        state.has_delivered(piece.len());
        if let Some(passage) = &this.passage {
            passage.moved(piece.len());
        }
        if this.is_end_stream() {
            this.running.finished();
        } else {
            this.offer(true);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.body.remaining().map(|rest| rest + self.piece.len() as u64);
        left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
