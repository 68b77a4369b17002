"""What RFC 9114 and RFC 9204 forbid a client, a row for each MUST that a server can see broken,
and beside them what is odd and allowed. A row names its section; it holds when the server answers
as the section says: with an error of the stream, a 4xx, or an error of the connection.
"""

import asyncio
from dataclasses import dataclass
from typing import Callable
from urllib.parse import urlsplit

from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, FrameType

from client import PATIENCE, Bare, Client, connection, expect, frame, section

# RFC 9204 §6; aioquic has them, too, under names of its own.
DECOMPRESSION_FAILED, ENCODER_STREAM_ERROR, DECODER_STREAM_ERROR = 0x200, 0x201, 0x202

GREASE = 0x21 + 31 * 5
DATA, HEADERS = FrameType.DATA, FrameType.HEADERS


@dataclass
class Row:
    section: str
    name: str
    kind: str
    check: Callable[[], bool]
    held: bool = False


def rows(options):
    url = urlsplit(options.url)
    authority = url.netloc.encode()
    method, scheme = (b":method", b"GET"), (b":scheme", b"https")
    host, path = (b":authority", authority), (b":path", options.path.encode())
    good = [method, scheme, host, path]
    found = []

    def row(kind, where, name, run, protocol=Client):
        async def whole():
            async with connection(options, url, protocol) as client:
                await run(client)
            return True

        def check():
            return asyncio.run(asyncio.wait_for(whole(), 6 * PATIENCE))

        found.append(Row(where, name, kind, check))

    async def answered(client, stream):
        await client.ended(stream)
        expect("status", client.status.get(stream), 200)

    async def goes_on(client):
        await answered(client, client.ask(good))

    async def refused(client, stream, codes):
        await client.ended(stream)
        code, status = client.reset.get(stream), client.status.get(stream)
        if client.closed.done():
            raise AssertionError(f"the whole connection was closed: {client.closed.result():#x}")
        if code is not None:
            if code not in codes:
                raise AssertionError(f"reset with {code:#x}, not one of {[hex(c) for c in codes]}")
        elif status is None or not 400 <= status < 500:
            raise AssertionError(f"was answered {status}")
        await goes_on(client)

    def head(fields):
        return frame(HEADERS, section(fields))

    def stream(where, name, frames, *codes):
        """Frames of one request that is an error of its stream, or a 4xx (RFC 9114 §4.1.2)."""
        codes = codes or (ErrorCode.H3_MESSAGE_ERROR, ErrorCode.H3_REQUEST_REJECTED)

        async def run(client):
            await refused(client, client.raw(b"".join(frames)), codes)

        row("malformed", where, name, run)

    def request(where, name, fields, *more):
        stream(where, name, [head(fields), *more])

    async def closes(client, code):
        got = await asyncio.wait_for(asyncio.shield(client.closed), PATIENCE)
        if got != code:
            raise AssertionError(f"closed with {got:#x}, wanted {int(code):#x}")

    def fatal(where, name, code, send, protocol=Client):
        """An error of the connection."""
        async def run(client):
            send(client)
            client.transmit()
            await closes(client, code)

        row("malformed", where, name, run, protocol)

    def frames(where, name, code, *parts):
        fatal(where, name, code, lambda client: client.raw(b"".join(parts)))

    def control(where, name, code, *parts):
        """More on the client's own control stream, behind its SETTINGS."""
        data = b"".join(parts)
        fatal(where, name, code, lambda c: c.more(c.h3._local_control_stream_id, data))

    def settings(where, name, code, payload):
        fatal(where, name, code, lambda c: c.beside(b"\x00" + frame(FrameType.SETTINGS, payload)), Bare)

    def allowed(where, name, send):
        """Odd, and no error: the request that follows is answered."""
        async def run(client):
            before = send(client)
            client.transmit()
            if before is not None:
                await answered(client, before)
            await goes_on(client)

        row("controls", where, name, run)

    unexpected, cut = ErrorCode.H3_FRAME_UNEXPECTED, ErrorCode.H3_FRAME_ERROR
    critical, creation = ErrorCode.H3_CLOSED_CRITICAL_STREAM, ErrorCode.H3_STREAM_CREATION_ERROR
    identifier = ErrorCode.H3_ID_ERROR
    body, trailers = frame(DATA, b"12345"), head([(b"x-sum", b"1")])
    unknown = frame(GREASE, b"abc")

    at = "RFC 9114 §4.1"
    frames(at, "DATA before HEADERS", unexpected, body)
    frames(at, "second trailers", unexpected, head(good), body, trailers, trailers)
    frames(at, "DATA after trailers", unexpected, head(good), body, trailers, body)
    stream(at, "an end without HEADERS", [unknown], ErrorCode.H3_REQUEST_INCOMPLETE)
    allowed(at, "unknown frames in every place, and trailers",
            lambda c: c.raw(unknown + head(good) + unknown + trailers + unknown))
    allowed(at, "trailers without a body", lambda c: c.raw(head(good) + trailers))

    at = "RFC 9114 §4.1.2"
    length = [(b"content-length", b"10")]
    request(at, "body shorter than content-length", good + length, body)
    request(at, "body longer than content-length", good + length, body, body, body)
    request(at, "content-length and no body", good + length)
    request(at, "body shorter than content-length before trailers", good + length, body, trailers)
    request(at, "two content-lengths", good + [(b"content-length", b"0"), (b"content-length", b"5")])
    request(at, "content-length that is no number", good + [(b"content-length", b"five")])
    request(at, "content-length with a sign", good + [(b"content-length", b"+5")], body)
    request(at, "content-length that is a list", good + [(b"content-length", b"5, 5")], body)
    request("RFC 9110 §9.3.1", "a GET with a body", good + length, body, body)
    request("RFC 9110 §6.5.1", "content-length in trailers", good, body, head([(b"content-length", b"5")]))

    at = "RFC 9114 §4.2"
    for what, name in [
        ("upper case in a name", b"X-Upper"), ("an empty name", b""), ("a space in a name", b"x a"),
        ("a colon in a name", b"x:a"), ("a line break in a name", b"x\r\na"),
        ("a byte beyond ASCII in a name", b"x\xe9"), ("NUL in a name", b"x\x00a"),
    ]:
        request(at, what, good + [(name, b"1")])
    for name, value in [
        (b"connection", b"close"), (b"keep-alive", b"timeout=5"), (b"proxy-connection", b"close"),
        (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"), (b"te", b"gzip"),
        (b"te", b"trailers, gzip"),
    ]:
        request(at, f"{name.decode()}: {value.decode()}", good + [(name, value)])
    request(at, "upper case in trailers", good, body, head([(b"X-Sum", b"1")]))
    request(at, "connection in trailers", good, body, head([(b"connection", b"close")]))
    allowed(at, "te: trailers", lambda c: c.raw(head(good + [(b"te", b"trailers")])))
    allowed("RFC 9114 §4.2.1", "a cookie in two fields",
            lambda c: c.raw(head(good + [(b"cookie", b"a=1"), (b"cookie", b"b=2")])))
    request("RFC 9114 §4.2.2", "a field section of 60,000 bytes", good + [(b"x-a", b"a" * 60_000)])

    at = "RFC 9114 §4.3"
    for name, value in good:
        request(at, f"two {name.decode()}", good + [(name, value)])
    request(at, "two :path that differ", good + [(b":path", b"/other")])
    request(at, "a pseudo-header field after a field", good[:3] + [(b"accept", b"*/*"), path])
    request(at, "a pseudo-header field that nobody defined", good + [(b":weir", b"1")])
    request(at, ":status in a request", good + [(b":status", b"200")])
    request(at, ":path in trailers", good, body, head([path]))
    request(at, ":status in trailers", good, body, head([(b":status", b"200")]))

    at = "RFC 9114 §4.3.1"
    request(at, "no :method", [scheme, host, path])
    request(at, "no :scheme", [method, host, path])
    request(at, "no :path", [method, scheme, host])
    request(at, "no :authority and no Host", [method, scheme, path])
    request(at, "no :scheme beside Host", [method, path, (b"host", authority)])
    request(at, "an empty :path", good[:3] + [(b":path", b"")])
    request(at, "a :path without a slash", good[:3] + [(b":path", b"vod")])
    request(at, "a :path with a space", good[:3] + [(b":path", b"/a b")])
    request(at, "a :path with a line break", good[:3] + [(b":path", b"/a\r\nx: y")])
    request(at, "an empty :authority", [method, scheme, (b":authority", b""), path])
    request(at, "user information in :authority", [method, scheme, (b":authority", b"a@" + authority), path])
    request(at, "Host beside another :authority", good + [(b"host", b"elsewhere.example")])
    request(at, "an empty Host beside :authority", good + [(b"host", b"")])
    request(at, "two Host that differ", good + [(b"host", authority), (b"host", b"elsewhere.example")])
    request(at, "an empty :method", [(b":method", b""), scheme, host, path])
    request(at, "a space in :method", [(b":method", b"GET /"), scheme, host, path])
    allowed(at, "Host as :authority", lambda c: c.raw(head(good + [(b"host", authority)])))
    allowed(at, "Host in place of :authority", lambda c: c.raw(head([method, scheme, path, (b"host", authority)])))

    at, connect = "RFC 9114 §4.4", (b":method", b"CONNECT")
    request(at, "CONNECT with a :path and a :scheme", [connect, scheme, host, path])
    request(at, "CONNECT with a :scheme", [connect, scheme, host])
    request(at, "CONNECT without :authority", [connect])
    request(at, "CONNECT, which is not offered", [connect, host])
    request("RFC 9220 §3", ":protocol, which is not offered", [connect, (b":protocol", b"websocket"), scheme, host, path])
    request("RFC 9220 §3", ":protocol in a GET", good + [(b":protocol", b"websocket")])

    settle = b"\x00" + frame(FrameType.SETTINGS)
    # aioquic has allowed pushes up to 8 by itself.
    goaway = lambda number: frame(FrameType.GOAWAY, encode_uint_var(number))
    push = lambda number: frame(FrameType.MAX_PUSH_ID, encode_uint_var(number))
    control("RFC 9114 §5.2", "GOAWAY with a larger push ID", identifier, goaway(4), goaway(5))

    at = "RFC 9114 §6.2"
    allowed(at, "a stream of a type that nobody knows", lambda c: c.beside(encode_uint_var(GREASE) + b"abc") and None)
    allowed(at, "a stream that ends within its type", lambda c: c.beside(b"\x40", end=True) and None)
    at = "RFC 9114 §6.2.1"
    fatal(at, "a second control stream", creation, lambda c: c.beside(settle))
    fatal(at, "a control stream without SETTINGS", ErrorCode.H3_MISSING_SETTINGS, lambda c: c.beside(b"\x00" + push(1)), Bare)
    fatal(at, "SETTINGS behind an unknown frame", ErrorCode.H3_MISSING_SETTINGS, lambda c: c.beside(b"\x00" + unknown + settle[1:]), Bare)
    fatal(at, "the control stream ends", critical, lambda c: c.more(c.h3._local_control_stream_id, b"", end=True))

    async def torn(client):
        # Before its type is there a stream may end.
        await goes_on(client)
        client._quic.reset_stream(client.h3._local_control_stream_id, 0)
        client.transmit()
        await closes(client, critical)

    row("malformed", at, "the control stream is reset", torn)

    async def stopped(client):
        await goes_on(client)
        # The server's first stream of its own.
        client._quic.stop_stream(3, 0)
        client.transmit()
        await closes(client, critical)

    row("malformed", at, "the server's control stream is stopped", stopped)
    fatal("RFC 9114 §6.2.2", "a push stream", creation, lambda c: c.beside(b"\x01\x00"))

    at = "RFC 9114 §7.1"
    frames(at, "a stream that ends within DATA", cut, head(good), encode_uint_var(DATA) + b"\x05abc")
    frames(at, "a stream that ends within a length", cut, head(good), encode_uint_var(DATA) + b"\x40")
    frames(at, "a stream that ends within an unknown frame", cut, head(good), encode_uint_var(GREASE) + b"\x09abc")
    for name, kind in [("GOAWAY", FrameType.GOAWAY), ("MAX_PUSH_ID", FrameType.MAX_PUSH_ID), ("CANCEL_PUSH", FrameType.CANCEL_PUSH)]:
        control(at, f"{name} of no bytes", cut, frame(kind))
        control(at, f"{name} with a byte too many", cut, frame(kind, b"\x00\x00"))
    settings(at, "SETTINGS that end within a setting", cut, b"\x06\x40")

    control("RFC 9114 §7.2.1", "DATA on a control stream", unexpected, body)
    control("RFC 9114 §7.2.2", "HEADERS on a control stream", unexpected, head(good))
    frames("RFC 9114 §7.2.3", "CANCEL_PUSH on a request stream", unexpected, frame(FrameType.CANCEL_PUSH, b"\x00"))
    control("RFC 9114 §7.2.3", "CANCEL_PUSH of what nobody promised", identifier, push(7), frame(FrameType.CANCEL_PUSH, b"\x00"))
    at = "RFC 9114 §7.2.4"
    frames(at, "SETTINGS on a request stream", unexpected, frame(FrameType.SETTINGS))
    frames(at, "SETTINGS behind HEADERS", unexpected, head(good), frame(FrameType.SETTINGS))
    control(at, "SETTINGS twice", unexpected, frame(FrameType.SETTINGS))
    settings(at, "a setting twice", ErrorCode.H3_SETTINGS_ERROR, b"\x06\x01\x06\x01")
    for number in range(2, 6):
        settings("RFC 9114 §7.2.4.1", f"setting {number} of HTTP/2", ErrorCode.H3_SETTINGS_ERROR, bytes([number, 0]))
    promise = frame(FrameType.PUSH_PROMISE, b"\x00" + section(good))
    frames("RFC 9114 §7.2.5", "PUSH_PROMISE on a request stream", unexpected, head(good), promise)
    control("RFC 9114 §7.2.5", "PUSH_PROMISE on a control stream", unexpected, promise)
    frames("RFC 9114 §7.2.6", "GOAWAY on a request stream", unexpected, goaway(0))
    frames("RFC 9114 §7.2.7", "MAX_PUSH_ID on a request stream", unexpected, push(0))
    control("RFC 9114 §7.2.7", "MAX_PUSH_ID that is smaller", identifier, push(20), push(19))
    allowed("RFC 9114 §7.2.7", "MAX_PUSH_ID that grows", lambda c: c.more(c.h3._local_control_stream_id, push(20) + push(20) + push(30)))
    for kind in (0x2, 0x6, 0x8, 0x9):
        frames("RFC 9114 §7.2.8", f"frame type {kind} of HTTP/2 on a request stream", unexpected, frame(kind, b"12345"))
        control("RFC 9114 §7.2.8", f"frame type {kind} of HTTP/2 on a control stream", unexpected, frame(kind, b"12345"))
    allowed("RFC 9114 §9", "an unknown frame on a control stream", lambda c: c.more(c.h3._local_control_stream_id, unknown))
    allowed("RFC 9218 §7.2", "PRIORITY_UPDATE", lambda c: c.more(c.h3._local_control_stream_id, frame(0xF0700, b"\x00u=1")))
    # Held by h3 until it is whole: refused by its length alone (RFC 9114 §10.5).
    stream("RFC 9114 §10.5", "an unknown frame of a gigabyte", [encode_uint_var(GREASE) + encode_uint_var(1 << 30)], ErrorCode.H3_EXCESSIVE_LOAD)
    stream("RFC 9114 §10.5", "HEADERS of a gigabyte", [encode_uint_var(HEADERS) + encode_uint_var(1 << 30)], ErrorCode.H3_EXCESSIVE_LOAD)
    control("RFC 9114 §10.5", "an unknown frame of a gigabyte on a control stream", ErrorCode.H3_EXCESSIVE_LOAD, encode_uint_var(GREASE) + encode_uint_var(1 << 30))

    at = "RFC 9114 §10.3"
    for what, value in [("a line break", b"1\r\nx-b: 2"), ("CR", b"1\r2"), ("LF", b"1\n2"), ("NUL", b"1\x002"), ("a control character", b"1\x012")]:
        request(at, f"{what} in a value", good + [(b"x-a", value)])
    for what, value in [("LF", b"1\n2"), ("NUL", b"1\x002")]:
        request(at, f"{what} in a value of trailers", good, body, head([(b"x-a", value)]))

    def unreadable(where, name, payload):
        frames(where, name, DECOMPRESSION_FAILED, frame(HEADERS, payload))

    unreadable("RFC 9204 §2.2", "an entry of an empty dynamic table", b"\x00\x00\x80")
    unreadable("RFC 9204 §2.2", "a name of an empty dynamic table", b"\x00\x00\x40\x01a")
    unreadable("RFC 9204 §3.1", "entry 99 of the static table", b"\x00\x00\xff\x24")
    unreadable("RFC 9204 §4.1.1", "an integer of 63 bits", b"\x00\x00\xff" + b"\xff" * 9 + b"\x7f")
    unreadable("RFC 9204 §4.1.2", "a string beyond the section", b"\x00\x00\x23ab")
    unreadable("RFC 9204 §4.5.1.1", "required inserts where there are none", b"\x02\x00\xd1")
    unreadable("RFC 9204 §4.5.1.2", "a base below zero", b"\x00\x80\xd1")
    unreadable("RFC 9204 §4.5.3", "an entry behind the base", b"\x00\x00\x10")
    unreadable("RFC 9204 §4.5", "no prefix", b"")
    unreadable("RFC 7541 §5.2", "Huffman's end of string in a name", b"\x00\x00\x2c\xff\xff\xff\xff\x01a")
    stream_types = {2: "encoder", 3: "decoder"}
    streams = {2: "_local_encoder_stream_id", 3: "_local_decoder_stream_id"}
    for kind, name in stream_types.items():
        own = lambda c, kind=kind: getattr(c.h3, streams[kind])
        at = "RFC 9204 §4.2"
        fatal(at, f"a second {name} stream", creation, lambda c, kind=kind: c.beside(bytes([kind])))

        async def ended(client, own=own):
            # aioquic writes to it when the server's settings come.
            await goes_on(client)
            client.more(own(client), b"", end=True)
            await closes(client, critical)

        async def torn(client, own=own):
            await goes_on(client)
            client._quic.reset_stream(own(client), 0)
            client.transmit()
            await closes(client, critical)

        row("malformed", at, f"the {name} stream ends", ended)
        row("malformed", at, f"the {name} stream is reset", torn)

    def encoder(where, name, data):
        fatal(where, name, ENCODER_STREAM_ERROR, lambda c: c.more(c.h3._local_encoder_stream_id, data))

    def decoder(where, name, data):
        fatal(where, name, DECODER_STREAM_ERROR, lambda c: c.more(c.h3._local_decoder_stream_id, data))

    encoder("RFC 9204 §3.2.3", "a capacity beyond ours", b"\x3f\xe1\x1f")
    encoder("RFC 9204 §3.2.2", "an entry with a static name", b"\xc0\x01a")
    encoder("RFC 9204 §3.2.2", "an entry with a name of its own", b"\x41a\x01b")
    encoder("RFC 9204 §4.3.4", "the copy of an entry that is not there", b"\x00")
    decoder("RFC 9204 §4.4.1", "an acknowledgement of what needed none", b"\x80")
    decoder("RFC 9204 §4.4.3", "an increment of zero", b"\x00")
    decoder("RFC 9204 §4.4.3", "an increment beyond what was sent", b"\x01")
    allowed("RFC 9204 §4.3.1", "a capacity of zero", lambda c: c.more(c.h3._local_encoder_stream_id, b"\x20"))
    allowed("RFC 9204 §4.4.2", "the cancellation of a stream", lambda c: c.more(c.h3._local_decoder_stream_id, b"\x40"))
    return found
