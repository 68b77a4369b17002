"""aioquic's HTTP/3, told to misbehave: what the checks of this folder share."""

import asyncio
import ssl

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

PATIENCE = 10


def expect(what, got, wanted):
    """Fails the check unless both are equal; long values are shortened."""
    if got != wanted:
        raise AssertionError(f"{what}: got {str(got)[:80]!r}, wanted {str(wanted)[:80]!r}")


class Client(QuicConnectionProtocol):
    """aioquic's connection, with everything that happened kept by stream."""

    # Whether aioquic opens the streams that a client opens.
    speaks = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = H3Connection(self._quic) if self.speaks else None
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
        for happened in self.h3.handle_event(event) if self.h3 else ():
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

    def beside(self, data, end=False):
        """Bytes of ours on a new stream of one direction."""
        stream = self._quic.get_next_available_stream_id(is_unidirectional=True)
        self._quic.send_stream_data(stream, data, end_stream=end)
        self.transmit()
        return stream

    def more(self, stream, data, end=False):
        self._quic.send_stream_data(stream, data, end_stream=end)
        self.transmit()

    async def ended(self, stream):
        await asyncio.wait_for(asyncio.shield(self.done[stream]), PATIENCE)


class Bare(Client):
    """A QUIC connection on which nothing was said yet."""

    speaks = False


def connection(options, url, kind=Client):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN)
    configuration.load_verify_locations(options.ca)
    configuration.verify_mode = ssl.CERT_REQUIRED
    configuration.server_name = url.hostname
    # The name is for the certificate; which family answers is not this check's question.
    host = options.host or url.hostname
    return connect(host, url.port, configuration=configuration, create_protocol=kind)


def frame(kind, payload=b""):
    return encode_uint_var(kind) + encode_uint_var(len(payload)) + payload


def section(fields):
    """A field section of literals (RFC 9204 §4.5.6), whatever is in them."""
    def length(first, bits, value):
        most = (1 << bits) - 1
        if value < most:
            return bytes([first | value])
        out, value = bytearray([first | most]), value - most
        while value >= 128:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
        return bytes(out)

    lines = (length(0x20, 3, len(n)) + n + length(0, 7, len(v)) + v for n, v in fields)
    return b"\x00\x00" + b"".join(lines)
