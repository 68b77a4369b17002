"""HTTP/3 as others speak it, against a running edge.

libcurl (ngtcp2 and nghttp3, through pycurl) asks what clients ask; aioquic sends many
requests at once, and messages that RFC 9114 calls malformed. Every check prints a line, and the
last line counts them; what is known to be wrong counts as neither.

    interop.py --url https://localhost:8443 --ca ca.pem --path /t/TOKEN/vod/FILM/SEGMENT \
        --missing /t/TOKEN/vod/FILM/nothing.m4s
"""

import argparse
import asyncio
import hashlib
import io
import ssl
import sys
import traceback
from urllib.parse import urlsplit

import pycurl
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import H3_ALPN, ErrorCode, FrameType, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

# curl/curl.h; pycurl does not name it in every build.
HTTP_VERSION_3ONLY = 31
PATIENCE = 10

# What is wrong today, by the name of its check, and why: shown, counted as neither. A check that
# holds after all fails the run, so that the list stays true.
KNOWN = {}


class Curl:
    """One request, over HTTP/3 unless told otherwise."""

    def __init__(self, options, path, method="GET", headers=(), version=HTTP_VERSION_3ONLY):
        body, head = io.BytesIO(), []
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, options.url + path)
        curl.setopt(pycurl.CAINFO, options.ca)
        curl.setopt(pycurl.HTTP_VERSION, version)
        curl.setopt(pycurl.TIMEOUT, PATIENCE)
        curl.setopt(pycurl.WRITEDATA, body)
        curl.setopt(pycurl.HEADERFUNCTION, head.append)
        curl.setopt(pycurl.HTTPHEADER, list(headers))
        if method == "HEAD":
            curl.setopt(pycurl.NOBODY, True)
        elif method != "GET":
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        curl.perform()
        self.status = curl.getinfo(pycurl.RESPONSE_CODE)
        self.version = curl.getinfo(pycurl.INFO_HTTP_VERSION)
        self.body = body.getvalue()
        fields = (line.decode("latin-1").split(":", 1) for line in head if b":" in line)
        self.fields = {name.strip().lower(): value.strip() for name, value in fields}
        curl.close()


def expect(what, got, wanted):
    """Fails the check unless both are equal; long values are shortened."""
    if got != wanted:
        raise AssertionError(f"{what}: got {str(got)[:80]!r}, wanted {str(wanted)[:80]!r}")


def curl_checks(options):
    reference = Curl(options, options.path, version=pycurl.CURL_HTTP_VERSION_1_1)
    expect("status over HTTP/1.1", reference.status, 200)
    whole, size = reference.body, len(reference.body)
    expect("length over HTTP/1.1", reference.fields.get("content-length"), str(size))
    if size < 1000:
        raise AssertionError(f"{options.path} has {size} bytes: too small to cut ranges from")

    def get():
        got = Curl(options, options.path)
        expect("version", got.version, HTTP_VERSION_3ONLY - 1)
        expect("status", got.status, 200)
        expect("digest", hashlib.sha256(got.body).hexdigest(), hashlib.sha256(whole).hexdigest())
        expect("etag", got.fields.get("etag"), reference.fields.get("etag"))

    def ranged(spec, first, last):
        def run():
            got = Curl(options, options.path, headers=[f"Range: bytes={spec}"])
            expect("status", got.status, 206)
            expect("content-range", got.fields.get("content-range"), f"bytes {first}-{last}/{size}")
            expect("bytes", got.body, whole[first : last + 1])
        return run

    def unsatisfiable():
        got = Curl(options, options.path, headers=[f"Range: bytes={size}-"])
        expect("status", got.status, 416)
        expect("content-range", got.fields.get("content-range"), f"bytes */{size}")

    def head():
        got = Curl(options, options.path, method="HEAD")
        expect("status", got.status, 200)
        expect("content-length", got.fields.get("content-length"), str(size))
        expect("body", got.body, b"")

    def missing():
        expect("status", Curl(options, options.missing).status, 404)

    def unchanged():
        tag = reference.fields.get("etag")
        got = Curl(options, options.path, headers=[f"If-None-Match: {tag}"])
        expect("status", got.status, 304)
        expect("body", got.body, b"")

    def method():
        got = Curl(options, options.path, method="DELETE")
        expect("status", got.status, 405)

    def announced():
        port = urlsplit(options.url).port
        if f'h3=":{port}"' not in reference.fields.get("alt-svc", ""):
            raise AssertionError(f"alt-svc over TCP is {reference.fields.get('alt-svc')!r}")

    return [
        ("curl: Alt-Svc over TCP names the port", announced),
        ("curl: GET has the bytes of HTTP/1.1", get),
        ("curl: first hundred bytes", ranged("0-99", 0, 99)),
        ("curl: range in the middle", ranged("500-899", 500, 899)),
        ("curl: last hundred bytes", ranged("-100", size - 100, size - 1)),
        ("curl: range beyond the end", unsatisfiable),
        ("curl: HEAD", head),
        ("curl: what is not there", missing),
        ("curl: If-None-Match", unchanged),
        ("curl: a method that media does not have", method),
    ], whole


class Client(QuicConnectionProtocol):
    """aioquic's connection, with everything that happened kept by stream."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = H3Connection(self._quic)
        self.status, self.body, self.reset, self.done = {}, {}, {}, {}
        self.closed = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated) and not self.closed.done():
            self.closed.set_result(event.error_code)
            for waiting in self.done.values():
                if not waiting.done():
                    waiting.set_result(None)
        if isinstance(event, StreamReset) and event.stream_id in self.done:
            self.reset[event.stream_id] = event.error_code
            self._finish(event.stream_id)
        for happened in self.h3.handle_event(event):
            stream = getattr(happened, "stream_id", None)
            if isinstance(happened, HeadersReceived):
                fields = dict(happened.headers)
                self.status.setdefault(stream, int(fields.get(b":status", b"0")))
            if isinstance(happened, DataReceived):
                self.body.setdefault(stream, bytearray()).extend(happened.data)
            if getattr(happened, "stream_ended", False):
                self._finish(stream)

    def _finish(self, stream):
        waiting = self.done.get(stream)
        if waiting and not waiting.done():
            waiting.set_result(None)

    def stream(self):
        stream = self._quic.get_next_available_stream_id()
        self.done[stream] = asyncio.get_running_loop().create_future()
        return stream

    def ask(self, headers, body=None, end=True):
        stream = self.stream()
        self.h3.send_headers(stream, headers, end_stream=end and body is None)
        if body is not None:
            self.h3.send_data(stream, body, end_stream=end)
        self.transmit()
        return stream

    def raw(self, data, end=True):
        """Bytes of ours on a new request stream."""
        stream = self.stream()
        self._quic.send_stream_data(stream, data, end_stream=end)
        self.transmit()
        return stream

    async def ended(self, stream):
        await asyncio.wait_for(asyncio.shield(self.done[stream]), PATIENCE)


def quic_checks(options, whole):
    url = urlsplit(options.url)
    authority = url.netloc.encode()

    def good(path=options.path):
        return [
            (b":method", b"GET"), (b":scheme", b"https"),
            (b":authority", authority), (b":path", path.encode()),
        ]

    def connection():
        configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN)
        configuration.load_verify_locations(options.ca)
        configuration.verify_mode = ssl.CERT_REQUIRED
        configuration.server_name = url.hostname
        # The name is for the certificate; which family answers is not this check's question.
        return connect(options.host or url.hostname, url.port, configuration=configuration, create_protocol=Client)

    def check(run):
        async def whole_run():
            async with connection() as client:
                await run(client)
        return lambda: asyncio.run(asyncio.wait_for(whole_run(), 6 * PATIENCE))

    async def serves(client):
        stream = client.ask(good())
        await client.ended(stream)
        expect("status", client.status.get(stream), 200)
        expect("bytes", bytes(client.body.get(stream, b"")) == whole, True)

    async def many(client):
        streams = [client.ask(good()) for _ in range(100)]
        for stream in streams:
            await client.ended(stream)
        wrong = [s for s in streams if client.status.get(s) != 200 or bytes(client.body.get(s, b"")) != whole]
        expect("streams that went wrong", len(wrong), 0)

    async def cancelled(client):
        stream = client.ask(good())
        client._quic.stop_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
        client.transmit()
        await serves(client)

    async def unknown_frame(client):
        """RFC 9114 §9: frames of unknown types are ignored."""
        encoded = client.h3._encode_headers(client._quic.get_next_available_stream_id(), good())
        unknown = encode_uint_var(0x21 + 31 * 5) + encode_uint_var(3) + b"abc"
        headers = encode_uint_var(FrameType.HEADERS) + encode_uint_var(len(encoded)) + encoded
        stream = client.raw(unknown + headers)
        await client.ended(stream)
        expect("status", client.status.get(stream), 200)

    def malformed(headers, body=None):
        """RFC 9114 §4.1.2: a stream error, or a 4xx before it; the connection goes on."""
        async def run(client):
            stream = client.ask(headers, body)
            await client.ended(stream)
            code = client.reset.get(stream)
            status = client.status.get(stream)
            if code is not None:
                if code not in (ErrorCode.H3_MESSAGE_ERROR, ErrorCode.H3_REQUEST_REJECTED):
                    raise AssertionError(f"reset with {code:#x}, not H3_MESSAGE_ERROR")
            elif client.closed.done():
                raise AssertionError(f"the whole connection was closed: {client.closed.result():#x}")
            elif status is None or not 400 <= status < 500:
                raise AssertionError(f"was answered {status}")
            await serves(client)
        return run

    def fatal(send, *codes):
        """An error of the connection, with one of `codes`."""
        async def run(client):
            send(client)
            code = await asyncio.wait_for(asyncio.shield(client.closed), PATIENCE)
            if code not in codes:
                raise AssertionError(f"closed with {code:#x}, wanted {[hex(c) for c in codes]}")
        return run

    def frame(kind, payload=b""):
        return encode_uint_var(kind) + encode_uint_var(len(payload)) + payload

    def uni(kind):
        def send(client):
            stream = client._quic.get_next_available_stream_id(is_unidirectional=True)
            client._quic.send_stream_data(stream, encode_uint_var(kind) + b"\x00")
            client.transmit()
        return send

    fields = good()
    requests = {
        "two :path": fields + [(b":path", b"/other")],
        "no :path": fields[:3],
        "empty :path": fields[:3] + [(b":path", b"")],
        "no :method": fields[1:],
        "no :scheme": fields[:1] + fields[2:],
        "pseudo-header after a field": fields[:3] + [(b"accept", b"*/*"), fields[3]],
        "unknown pseudo-header": fields + [(b":weir", b"1")],
        ":status in a request": fields + [(b":status", b"200")],
        "upper-case name": fields + [(b"X-Upper", b"1")],
        "connection": fields + [(b"connection", b"close")],
        "transfer-encoding": fields + [(b"transfer-encoding", b"chunked")],
        "te: gzip": fields + [(b"te", b"gzip")],
        "line break in a value": fields + [(b"x-a", b"1\r\nx-b: 2")],
        "host beside another :authority": fields + [(b"host", b"elsewhere.example")],
        "two content-lengths": fields + [(b"content-length", b"0"), (b"content-length", b"5")],
        "content-length that is no number": fields + [(b"content-length", b"five")],
    }
    short = fields + [(b"content-length", b"10")]
    checks = [
        ("aioquic: GET", serves),
        ("aioquic: 100 streams at once", many),
        ("aioquic: a cancelled stream leaves the others alone", cancelled),
        ("aioquic: frames of unknown type are ignored", unknown_frame),
    ]
    checks += [(f"aioquic: malformed: {name}", malformed(h)) for name, h in requests.items()]
    checks += [
        ("aioquic: malformed: body shorter than content-length", malformed(short, b"12345")),
        ("aioquic: malformed: body longer than content-length", malformed(short, b"123456789012345")),
        (
            "aioquic: DATA before HEADERS",
            fatal(lambda c: c.raw(frame(FrameType.DATA, b"x")), ErrorCode.H3_FRAME_UNEXPECTED),
        ),
        (
            "aioquic: SETTINGS on a request stream",
            fatal(lambda c: c.raw(frame(FrameType.SETTINGS)), ErrorCode.H3_FRAME_UNEXPECTED),
        ),
        (
            "aioquic: a frame type of HTTP/2",
            fatal(lambda c: c.raw(frame(0x2, b"12345")), ErrorCode.H3_FRAME_UNEXPECTED),
        ),
        ("aioquic: a second control stream", fatal(uni(0x0), ErrorCode.H3_STREAM_CREATION_ERROR)),
        ("aioquic: a push stream from a client", fatal(uni(0x1), ErrorCode.H3_STREAM_CREATION_ERROR)),
        (
            # RFC 9204 §2.2: a field section that refers to a dynamic table that is empty.
            "aioquic: a field section that nobody can read",
            fatal(
                lambda c: c.raw(frame(FrameType.HEADERS, b"\x00\x00\xbf\xff\xff\x01")),
                ErrorCode.QPACK_DECOMPRESSION_FAILED,
            ),
        ),
    ]
    return [(name, check(run)) for name, run in checks]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--missing", required=True)
    parser.add_argument("--host", help="address to connect to, when it is not what the URL says")
    parser.add_argument("--only", help="checks whose name contains this")
    options = parser.parse_args()
    passed = failed = 0

    def run(name, check):
        nonlocal passed, failed
        known = KNOWN.get(name)
        try:
            result = check()
            if known:
                failed += 1
                print(f"FAIL {name}: it holds now; take it off the list of what is known", flush=True)
                return None
            passed += 1
            print(f"pass {name}", flush=True)
            return result
        except Exception as error:  # any failure of a check is its result
            if known:
                print(f"known {name}: {known}", flush=True)
                return None
            failed += 1
            words = str(error) or "".join(traceback.format_exception_only(error)).strip()
            print(f"FAIL {name}: {words}", flush=True)

    found = run("curl: the object over HTTP/1.1", lambda: curl_checks(options))
    if found:
        checks, whole = found
        for name, check in checks + quic_checks(options, whole):
            if options.only is None or options.only in name:
                run(name, check)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
