"""HTTP/2 frame by frame against a running edge: what RFC 9113 calls an error, section by section.

Every check opens a connection of its own, writes frames made here by hand, and reads what comes
back. A malformed message must end as a reset stream, a GOAWAY or a 4xx; a broken connection as a
GOAWAY with the code that the section names; a flood as GOAWAY with ENHANCE_YOUR_CALM. What is
well-formed must get its answer. Every check prints a line, the last counts them, and the one
before it says in JSON how many malformed ones were sent and refused.

    interop.py --url https://localhost:8443 --ca ca.pem --path /t/TOKEN/vod/FILM/SEGMENT
"""

import argparse
import json
import socket
import ssl
import struct
import sys
import time
from urllib.parse import urlsplit

PATIENCE = 10
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0x0, 0x1, 0x2, 0x3, 0x4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0x5, 0x6, 0x7, 0x8, 0x9
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

PROTOCOL, FLOW_CONTROL, STREAM_CLOSED, FRAME_SIZE = 0x1, 0x3, 0x5, 0x6
COMPRESSION, CALM = 0x9, 0xB
REFUSED_STREAM = 0x7

# Digits in Huffman's code (RFC 7541, Appendix B): all that a status needs.
DIGITS = {f"{n:05b}": str(n) for n in range(3)} | {f"{0x16 + n:06b}": str(n) for n in range(3, 10)}
STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name, value, first=b"\x00"):
    """A literal that is neither indexed nor in Huffman's code (RFC 7541 §6.2.2)."""
    def text(data):
        if len(data) < 127:
            return bytes([len(data)]) + data
        # §5.1, two bytes behind the first: enough for a token.
        more = len(data) - 127
        return bytes([127, more & 0x7F | 0x80, more >> 7]) + data
    return first + text(name) + text(value)


def block(fields):
    return b"".join(field(name, value) for name, value in fields)


def headers(fields, stream=1, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


def status(payload):
    """The status that a field block begins with."""
    first = payload[0]
    if first & 0x80:
        return STATUS.get(first & 0x7F, 0)
    length = payload[1]
    text = payload[2 : 2 + (length & 0x7F)]
    if not length & 0x80:
        return int(text)
    bits, digits = "".join(f"{byte:08b}" for byte in text), ""
    while len(digits) < 3:
        size = 5 if bits[:5] in DIGITS else 6
        digits, bits = digits + DIGITS[bits[:size]], bits[size:]
    return int(digits)


class Connection:
    """A connection up to the exchange of SETTINGS, and what the edge said on it."""

    def __init__(self, options, preface=PREFACE, settings=frame(SETTINGS, 0, 0)):
        url = urlsplit(options.url)
        context = ssl.create_default_context(cafile=options.ca)
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection((options.host or url.hostname, url.port), PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname=url.hostname)
        assert self.socket.selected_alpn_protocol() == "h2"
        self.room, self.status, self.reset, self.done = b"", {}, {}, set()
        self.goaway, self.closed, self.pongs, self.acks, self.got = None, False, 0, 0, 0
        self.send(preface + settings)

    def send(self, data):
        """False where the edge has gone already."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def read(self, until, patience=PATIENCE):
        """Reads frames until `until` holds, the connection ends, or it takes too long."""
        due = time.monotonic() + patience
        while not until() and not self.closed:
            left = due - time.monotonic()
            if left <= 0:
                raise AssertionError("nothing happened")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            self.closed = not data
            self.room += data
            while len(self.room) >= 9:
                length = int.from_bytes(self.room[:3], "big")
                if len(self.room) < 9 + length:
                    break
                kind, flags, stream = struct.unpack(">BBI", self.room[3:9])
                payload, self.room = self.room[9 : 9 + length], self.room[9 + length :]
                self.take(kind, flags, stream, payload)

    def take(self, kind, flags, stream, payload):
        if kind == HEADERS:
            self.status.setdefault(stream, status(payload))
        if kind == DATA:
            self.got += len(payload)
            # So that the next answer finds room; both windows.
            if payload:
                more = struct.pack(">I", len(payload))
                self.send(frame(WINDOW_UPDATE, 0, 0, more))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.done.add(stream)
        if kind == RST_STREAM:
            self.reset[stream] = struct.unpack(">I", payload)[0]
        if kind == PING:
            self.pongs += flags & ACK
            if not flags & ACK:
                self.send(frame(PING, ACK, 0, payload))
        if kind == SETTINGS:
            self.acks += flags & ACK
            if not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
        if kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])[1]

    def ended(self, stream):
        return stream in self.done or stream in self.reset

    def over(self):
        return self.goaway is not None

    def close(self):
        self.socket.close()


def rows(options):
    """(section, name, what is sent, what must happen)."""
    url = urlsplit(options.url)
    authority = url.netloc.encode()

    def asked(method=b"GET", scheme=b"https", host=authority, path=options.path.encode()):
        pseudo = [(b":method", method), (b":scheme", scheme), (b":authority", host), (b":path", path)]
        return [(name, value) for name, value in pseudo if value is not None]

    get, post = asked(), asked(b"POST")
    opened = headers(post, end=False)
    long = b"x" * 16385
    one = headers(get)
    window = lambda stream, size: frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))
    setting = lambda key, value: frame(SETTINGS, 0, 0, struct.pack(">HI", key, value))
    trailers = lambda fields, flags=END_STREAM: frame(HEADERS, END_HEADERS | flags, 1, block(fields))

    def stream(frames, *codes):
        return ("stream", frames, codes or (PROTOCOL,))

    def whole(frames, *codes):
        return ("connection", frames, codes)

    table = [
        ("3.4", "first frame is no SETTINGS", ("early", frame(PING, 0, 0, b"12345678"), (PROTOCOL,))),
        ("3.4", "a preface that is none", ("preface", b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", (PROTOCOL,))),
        ("4.2", "DATA above 16,384 bytes", whole(opened + frame(DATA, 0, 1, long), FRAME_SIZE)),
        ("4.2", "HEADERS above 16,384 bytes", whole(frame(HEADERS, 0x5, 1, long), FRAME_SIZE)),
        ("4.2", "an unknown frame above 16,384 bytes", whole(frame(0xBB, 0, 0, long), FRAME_SIZE)),
        ("4.3", "an index that is in no table", whole(frame(HEADERS, 0x5, 1, b"\xff\xff\x01"), COMPRESSION)),
        ("4.3", "index zero", whole(frame(HEADERS, 0x5, 1, b"\x80"), COMPRESSION)),
        ("4.3", "a block that is cut", whole(frame(HEADERS, 0x5, 1, b"\x82\x87\x84\x41\x0fa"), COMPRESSION)),
        ("4.3", "Huffman's code with the end in it", whole(frame(HEADERS, 0x5, 1, b"\x40\x84\xff\xff\xff\xff\x01a"), COMPRESSION)),
        ("4.3", "a table larger than agreed", whole(frame(HEADERS, 0x5, 1, b"\x3f\xe2\x1f\x82\x87\x84"), COMPRESSION)),
        ("4.3", "PING within a field block", whole(frame(HEADERS, 0x1, 1, block(get)) + frame(PING, 0, 0, b"12345678"), PROTOCOL)),
        ("4.3", "another stream within a field block", whole(frame(HEADERS, 0x1, 1, block(get)) + headers(get, 3), PROTOCOL)),
        ("5.1", "DATA on an idle stream", whole(frame(DATA, 1, 1, b"x"), PROTOCOL)),
        ("5.1", "RST_STREAM on an idle stream", whole(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), PROTOCOL)),
        ("5.1", "WINDOW_UPDATE on an idle stream", whole(window(1, 1), PROTOCOL)),
        ("5.1", "DATA on a half-closed stream", stream(one + frame(DATA, 1, 1, b"x"), STREAM_CLOSED, PROTOCOL)),
        ("5.1", "HEADERS on a half-closed stream", stream(one + one, STREAM_CLOSED, PROTOCOL)),
        ("5.1.1", "an even stream", whole(headers(get, 2), PROTOCOL)),
        ("5.1.1", "a stream below the last", whole(headers(get, 5) + headers(get, 3), PROTOCOL, STREAM_CLOSED)),
        ("6.1", "DATA on stream 0", whole(frame(DATA, 0, 0, b"x"), PROTOCOL)),
        ("6.1", "DATA with more padding than payload", whole(opened + frame(DATA, PADDED | 1, 1, b"\x05abc"), PROTOCOL)),
        ("6.1", "DATA padded without a length", whole(opened + frame(DATA, PADDED | 1, 1), FRAME_SIZE, PROTOCOL)),
        ("6.2", "HEADERS on stream 0", whole(headers(get, 0), PROTOCOL)),
        ("6.2", "HEADERS with more padding than payload", whole(frame(HEADERS, PADDED | 5, 1, b"\xff" + block(get)[:20]), PROTOCOL)),
        ("6.2", "HEADERS cut within its priority", whole(frame(HEADERS, WITH_PRIORITY | 5, 1, b"\0\0\0"), FRAME_SIZE, PROTOCOL)),
        ("6.3", "PRIORITY on stream 0", whole(frame(PRIORITY, 0, 0, b"\0\0\0\0\0"), PROTOCOL)),
        ("6.3", "PRIORITY of four bytes", whole(frame(PRIORITY, 0, 1, b"\0\0\0\0"), FRAME_SIZE)),
        ("6.4", "RST_STREAM on stream 0", whole(frame(RST_STREAM, 0, 0, b"\0\0\0\x08"), PROTOCOL)),
        ("6.4", "RST_STREAM of three bytes", whole(opened + frame(RST_STREAM, 0, 1, b"\0\0\0"), FRAME_SIZE)),
        ("6.5", "SETTINGS on a stream", whole(frame(SETTINGS, 0, 1), PROTOCOL)),
        ("6.5", "SETTINGS of five bytes", whole(frame(SETTINGS, 0, 0, b"12345"), FRAME_SIZE)),
        ("6.5", "an acknowledgement with settings", whole(frame(SETTINGS, ACK, 0, b"\0\x04\0\0\xff\xff"), FRAME_SIZE)),
        ("6.5.2", "ENABLE_PUSH 2", whole(setting(2, 2), PROTOCOL)),
        ("6.5.2", "INITIAL_WINDOW_SIZE 2^31", whole(setting(4, 1 << 31), FLOW_CONTROL)),
        ("6.5.2", "MAX_FRAME_SIZE 16,383", whole(setting(5, 16383), PROTOCOL)),
        ("6.5.2", "MAX_FRAME_SIZE 2^24", whole(setting(5, 1 << 24), PROTOCOL)),
        ("6.6", "PUSH_PROMISE from a client", whole(one + frame(PUSH_PROMISE, 4, 1, b"\0\0\0\x02" + block(get)), PROTOCOL)),
        ("6.7", "PING on a stream", whole(frame(PING, 0, 1, b"12345678"), PROTOCOL)),
        ("6.7", "PING of seven bytes", whole(frame(PING, 0, 0, b"1234567"), FRAME_SIZE)),
        ("6.8", "GOAWAY on a stream", whole(frame(GOAWAY, 0, 1, b"\0" * 8), PROTOCOL)),
        ("6.9", "WINDOW_UPDATE of nothing", whole(window(0, 0), PROTOCOL)),
        ("6.9", "WINDOW_UPDATE of nothing on a stream", stream(opened + window(1, 0))),
        ("6.9", "WINDOW_UPDATE of three bytes", whole(frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01"), FRAME_SIZE)),
        ("6.9.1", "a connection's window above 2^31-1", whole(window(0, 0x7FFFFFFF), FLOW_CONTROL)),
        ("6.9.1", "a stream's window above 2^31-1", stream(opened + window(1, 0x7FFFFFFF), FLOW_CONTROL)),
        ("6.10", "CONTINUATION of nothing", whole(frame(CONTINUATION, 4, 1, block(get)), PROTOCOL)),
        ("6.10", "CONTINUATION behind a whole block", whole(opened + frame(CONTINUATION, 4, 1, block([(b"a", b"b")])), PROTOCOL)),
        ("6.10", "CONTINUATION of another stream", whole(frame(HEADERS, 1, 1, block(get)) + frame(CONTINUATION, 4, 3), PROTOCOL)),
        ("8.1", "trailers that do not end the stream", stream(opened + trailers([(b"a", b"b")], 0))),
        ("8.1", "DATA behind trailers", stream(opened + trailers([(b"a", b"b")]) + frame(DATA, 1, 1, b"x"), STREAM_CLOSED, PROTOCOL)),
        ("8.1", "trailers with :path", stream(opened + trailers([(b":path", b"/")]))),
        ("8.1", "trailers with a static pseudo-header field", stream(opened + frame(HEADERS, 5, 1, b"\x84"))),
        ("8.1", "trailers with an upper-case name", stream(opened + trailers([(b"A", b"b")]))),
        ("8.1", "trailers with connection", stream(opened + trailers([(b"connection", b"close")]))),
        ("8.1.1", "content-length without a body", stream(headers(post + [(b"content-length", b"5")]))),
        ("8.1.1", "less DATA than content-length", stream(headers(post + [(b"content-length", b"5")], end=False) + frame(DATA, 1, 1, b"abc"))),
        ("8.1.1", "more DATA than content-length", stream(headers(post + [(b"content-length", b"5")], end=False) + frame(DATA, 1, 1, b"abcdefgh"))),
        ("8.1.1", "less DATA of a GET than content-length", stream(headers(get + [(b"content-length", b"5")], end=False) + frame(DATA, 1, 1, b"abc"))),
        ("RFC 9110 9.3.1", "a GET with a body", stream(headers(get, end=False) + frame(DATA, 1, 1, b"abc"))),
        ("8.3.1", "a fragment in :path", stream(headers([(n, v + b"#f" if n == b":path" else v) for n, v in get]))),
        ("RFC 9110 6.5.1", "content-length in trailers", stream(headers(post, end=False) + frame(DATA, 0, 1, b"abc") + trailers([(b"content-length", b"3")]))),
        ("8.1.1", "trailers before content-length is there", stream(headers(post + [(b"content-length", b"5")], end=False) + trailers([(b"a", b"b")]))),
        ("8.1.1", "two content-lengths that differ", stream(headers(post + [(b"content-length", b"1"), (b"content-length", b"2")], end=False) + frame(DATA, 1, 1, b"a"))),
    ]
    table += [
        ("8.1.1", f"content-length {value.decode()!r}", stream(headers(post + [(b"content-length", value)], end=False) + frame(DATA, 1, 1, b"a")))
        for value in [b"", b"+1", b"-1", b"0x1", b"1,1", b"one", b"99999999999999999999"]
    ]
    names = [b"X-Upper", b"", b"a b", b"a:b", b"a\0", b"a\r\n", b"a\x7f", b"\xc3\xa4", b"a("]
    table += [("8.2.1", f"a field named {name!r}", stream(headers(get + [(name, b"1")]), PROTOCOL, COMPRESSION)) for name in names]
    values = [b"a\0b", b"a\rb", b"a\nb", b"a\r\nx-b: 2", b" a", b"a ", b"\ta", b"a\t"]
    table += [("8.2.1", f"a value {value!r}", stream(headers(get + [(b"x-a", value)]), PROTOCOL, COMPRESSION)) for value in values]
    connection = [
        (b"connection", b"close"), (b"keep-alive", b"5"), (b"proxy-connection", b"close"),
        (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"), (b"te", b"gzip"), (b"te", b"trailers, gzip"),
    ]
    table += [("8.2.2", f"{n.decode()}: {v.decode()}", stream(headers(get + [(n, v)]))) for n, v in connection]
    table += [
        ("8.3", "a pseudo-header field behind a field", stream(headers(get[:3] + [(b"accept", b"*/*")] + get[3:]))),
        ("8.3", "an unknown pseudo-header field", stream(headers([(b":weir", b"1")] + get), PROTOCOL, COMPRESSION)),
        ("8.3", ":status in a request", stream(headers([(b":status", b"200")] + get))),
    ]
    table += [("8.3", f"two {n.decode()}", stream(headers(get + [(n, v)]))) for n, v in get]
    table += [
        ("8.3", "two :path in two frames", stream(frame(HEADERS, 1, 1, block(get)) + frame(CONTINUATION, 4, 1, block([(b":path", b"/")])))),
        ("8.3.1", "no :method", stream(headers(asked(method=None)))),
        ("8.3.1", "no :scheme", stream(headers(asked(scheme=None)))),
        ("8.3.1", "no :path", stream(headers(asked(path=None)))),
        ("8.3.1", "neither :authority nor host", stream(headers(asked(host=None)))),
        ("8.3.1", "an empty :method", stream(headers(asked(method=b"")), PROTOCOL, COMPRESSION)),
        ("8.3.1", "a :method with a space", stream(headers(asked(method=b"GET /")), PROTOCOL, COMPRESSION)),
        ("8.3.1", "an empty :scheme", stream(headers(asked(scheme=b"")))),
        ("8.3.1", "another :scheme", stream(headers(asked(scheme=b"ftp")))),
        ("8.3.1", ":scheme http over TLS", stream(headers(asked(scheme=b"http")))),
        ("8.3.1", "an empty :path", stream(headers(asked(path=b"")))),
        ("8.3.1", "a :path without its slash", stream(headers(asked(path=options.path.encode()[1:])))),
        ("8.3.1", "an absolute :path", stream(headers(asked(path=options.url.encode() + options.path.encode())))),
        ("8.3.1", ":path * of a GET", stream(headers(asked(path=b"*")))),
        ("8.3.1", "a :path with a space", stream(headers(asked(path=options.path.encode() + b" HTTP/1.1")))),
        ("8.3.1", "a :path with CR LF", stream(headers(asked(path=options.path.encode() + b"\r\nx: y")), PROTOCOL, COMPRESSION)),
        ("8.3.1", "an empty :authority", stream(headers(asked(host=b"")))),
        ("8.3.1", "a user in :authority", stream(headers(asked(host=b"user@" + authority)))),
        ("8.3.1", "an :authority with a path", stream(headers(asked(host=authority + b"/a")))),
        ("8.3.1", "host beside another :authority", stream(headers(get + [(b"host", b"elsewhere.example")]))),
        ("8.3.1", "two hosts", stream(headers(get + [(b"host", authority), (b"host", authority)]))),
        ("8.3.1", "host that is no authority", stream(headers(asked(host=None) + [(b"host", b"a b")]))),
        ("8.5", "CONNECT", stream(headers([(b":method", b"CONNECT"), (b":authority", authority)]))),
        ("8.5", "CONNECT with :scheme and :path", stream(headers(asked(b"CONNECT")))),
        ("8.5", "CONNECT without :authority", stream(headers([(b":method", b"CONNECT")]))),
        ("8.5", ":protocol that was not offered", stream(headers([(b":protocol", b"websocket")] + asked(b"CONNECT")))),
        ("8.5", ":protocol of a GET", stream(headers([(b":protocol", b"websocket")] + get))),
    ]
    flood = lambda data: ("flood", data, (CALM,))
    ask = lambda n: headers(get, 2 * n + 1)
    cancel = lambda n: frame(RST_STREAM, 0, 2 * n + 1, b"\0\0\0\x08")
    over = lambda n: window(2 * n + 1, 0x7FFFFFFF)
    bomb = field(b"x-a", b"b" * 200, b"\x40") + b"\xbe" * 16000
    table += [
        ("flood", "rapid reset (CVE-2023-44487)", flood(b"".join(ask(n) + cancel(n) for n in range(2000)))),
        # §6.9.1 has the edge reset each of these streams itself.
        ("flood", "streams that the edge must reset (CVE-2025-8671)", flood(b"".join(headers(get, 2 * n + 1, False) + over(n) for n in range(2000)))),
        ("flood", "CONTINUATION (CVE-2024-27316)", flood(frame(HEADERS, 1, 1, block(get)) + frame(CONTINUATION, 0, 1, block([(b"a", b"b")])) * 5000)),
        ("flood", "empty CONTINUATION", flood(frame(HEADERS, 1, 1, block(get)) + frame(CONTINUATION, 0, 1) * 5000)),
        ("flood", "SETTINGS", flood(frame(SETTINGS, 0, 0) * 20000)),
        ("flood", "SETTINGS of 2,700 entries", flood(frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100) * 2700) * 100)),
        ("flood", "PING", flood(frame(PING, 0, 0, b"12345678") * 20000)),
        ("flood", "PRIORITY", flood(b"".join(frame(PRIORITY, 0, 2 * n + 1, b"\0\0\0\0\x10") for n in range(20000)))),
        ("flood", "WINDOW_UPDATE", flood(window(0, 1) * 20000)),
        ("flood", "empty DATA", flood(opened + frame(DATA, 0, 1) * 20000)),
        ("flood", "DATA of one byte", flood(opened + frame(DATA, 0, 1, b"x") * 100000)),
        ("flood", "padding without data", flood(opened + frame(DATA, PADDED, 1, b"\x00") * 20000)),
        ("flood", "unknown frames", flood(frame(0xAA, 0, 0) * 20000)),
        ("flood", "a bomb in HPACK", flood(frame(HEADERS, 0x5, 1, bomb))),
        ("flood", "a field block of a megabyte", flood(frame(HEADERS, 1, 1, block(get)) + frame(CONTINUATION, 0, 1, b"\x00" * 16384) * 64)),
    ]
    good = lambda data, stream=1: ("good", data, (stream,))
    pieces = block(get)
    table += [
        ("good", "GET", good(one)),
        ("good", "GET on the third stream", good(headers(get, 5), 5)),
        ("good", "host beside the same :authority", good(headers(get + [(b"host", authority)]))),
        ("good", "host in place of :authority", good(headers(asked(host=None) + [(b"host", authority)]))),
        ("good", "te: trailers", good(headers(get + [(b"te", b"trailers")]))),
        ("good", "cookies apart", good(headers(get + [(b"cookie", b"a=1"), (b"cookie", b"b=2")]))),
        ("good", "an empty value", good(headers(get + [(b"x-a", b"")]))),
        ("good", "padding and priority", good(frame(HEADERS, PADDED | WITH_PRIORITY | 5, 1, b"\x03\0\0\0\0\x10" + pieces + b"\0\0\0"))),
        ("good", "a field block in four frames", good(frame(HEADERS, 1, 1, pieces[:5]) + frame(CONTINUATION, 0, 1, pieces[5:6]) + frame(CONTINUATION, 0, 1) + frame(CONTINUATION, 4, 1, pieces[6:]))),
        ("good", "unknown frames, settings and flags", good(frame(0xAA, 0xFF, 1, b"grease") + setting(0x0A0A, 7) + frame(HEADERS, 0xC5 & ~PADDED, 1, pieces))),
        ("good", "the reserved bit of a stream", good(frame(HEADERS, 5, 1 | 1 << 31, pieces))),
        ("good", "GET whose end is an empty DATA", good(headers(get, end=False) + frame(DATA, 1, 1))),
        ("good", "GET with trailers", good(headers(get, end=False) + trailers([(b"x-a", b"b")]))),
        ("good", "PING, SETTINGS and PRIORITY between requests", good(one + frame(PING, 0, 0, b"12345678") + setting(4, 1 << 20) + frame(PRIORITY, 0, 3, b"\0\0\0\0\x10") + frame(0x10, 0, 0, b"\0\0\0\x01u=1") + headers(get, 3), 3)),
        ("good", "a request taken back, and another", good(one + cancel(0) + headers(get, 3), 3)),
        ("good", "a table made small", good(frame(HEADERS, 5, 1, b"\x20" + pieces))),
    ]
    return table, one


def check(options, how, good):
    kind, data, wanted = how
    first = frame(SETTINGS, 0, 0)
    if kind in ("early", "preface"):
        preface = data if kind == "preface" else PREFACE
        connection = Connection(options, preface, data if kind == "early" else first)
    else:
        connection = Connection(options)
        connection.send(data)
    try:
        judge(connection, kind, wanted, good)
    finally:
        connection.close()


def judge(connection, kind, wanted, good):
    if kind == "good":
        stream = wanted[0]
        connection.read(lambda: connection.ended(stream) or connection.over())
        if connection.over() or stream in connection.reset:
            raise AssertionError(f"GOAWAY {connection.goaway}, reset {connection.reset}")
        if connection.status.get(stream) != 200:
            raise AssertionError(f"was answered {connection.status.get(stream)}")
        return
    if kind == "stream":
        connection.read(lambda: connection.ended(1) or connection.over())
        code, status = connection.reset.get(1), connection.status.get(1)
        # RFC 9113 §5.4.1: an error of a stream may be one of the connection.
        if connection.over():
            code = connection.goaway
        if code is not None and code not in wanted:
            raise AssertionError(f"ended with {code:#x}, not one of {[hex(c) for c in wanted]}")
        if code is None and (status is None or not 400 <= status < 500 or status in (404, 405)):
            raise AssertionError(f"was answered {status}")
        if not connection.over():
            # The connection has lost nothing.
            connection.send(good[:5] + struct.pack(">I", 9) + good[9:])
            connection.read(lambda: connection.ended(9) or connection.over())
            if connection.status.get(9) != 200:
                raise AssertionError(f"the next request was answered {connection.status.get(9)}")
        return
    connection.read(connection.over)
    # RFC 9113 §3.4: one that does not speak HTTP/2 needs no GOAWAY.
    if kind == "preface" and connection.goaway is None:
        return
    if connection.goaway is None:
        raise AssertionError(f"closed without a GOAWAY, answered {connection.status}")
    if connection.goaway not in wanted:
        raise AssertionError(f"GOAWAY {connection.goaway:#x}, not one of {[hex(c) for c in wanted]}")
    # Other streams may have been answered before; none of these was a request.
    if kind == "connection" and connection.status.get(1, 400) in (404, 405):
        raise AssertionError(f"was answered {connection.status[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--host", help="address to connect to, when it is not what the URL says")
    parser.add_argument("--only", help="checks whose name contains this")
    options = parser.parse_args()
    table, good = rows(options)
    passed = failed = 0
    summary = {
        "kit": "h2",
        "malformed": {"sent": 0, "refused": 0},
        "controls": {"sent": 0, "passed": 0},
        "floods": {"sent": 0, "ended": 0},
    }
    for section, what, how in table:
        name = f"h2: {section}: {what}"
        if options.only and options.only not in name:
            continue
        kinds = {"good": ("controls", "passed"), "flood": ("floods", "ended")}
        kind, held = kinds.get(how[0], ("malformed", "refused"))
        summary[kind]["sent"] += 1
        try:
            check(options, how, good)
            passed += 1
            summary[kind][held] += 1
            print(f"pass {name}", flush=True)
        except Exception as error:  # any failure of a check is its result
            failed += 1
            print(f"FAIL {name}: {error or type(error).__name__}", flush=True)
    print(json.dumps(summary))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
