"""HTTP/1.1 byte by byte against a running edge: what RFC 9112 calls an error, section by section.

Every check opens a connection of its own, writes bytes made here by hand, and reads until the
edge closes. What two readers could read in two ways must be answered with one 4xx and a close,
and nothing behind it may be answered. What is well-formed must get its answers. Every check
prints a line, the last counts them, and the one before it says in JSON how many malformed ones
were sent and refused.

    interop.py --url https://localhost:8443 --ca ca.pem --path /t/TOKEN/vod/FILM/SEGMENT
"""

import argparse
import json
import re
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit

PATIENCE = 5


def connect(options):
    url = urlsplit(options.url)
    plain = socket.create_connection((options.host or url.hostname, url.port), PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if url.scheme != "https":
        return plain
    context = ssl.create_default_context(cafile=options.ca)
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(plain, server_hostname=url.hostname)


def answers(data):
    """The statuses of the answers in `data`, which all say how long they are."""
    seen = []
    while data:
        head, found, rest = data.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1\.1 (\d{3})", head)
        if not match or not found:
            raise AssertionError(f"answered {data[:60]!r}")
        seen.append(int(match[1]))
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        bodiless = seen[-1] < 200 or seen[-1] in (204, 304)
        data = rest[int(length[1]) if length and not bodiless else 0:]
    return seen


def rows(options):
    """(section, name, bytes, statuses that must come before the edge closes)."""
    url = urlsplit(options.url)
    host = url.netloc
    other = "elsewhere.example"
    path = options.path

    def request(method="GET", target=path, version="HTTP/1.1", fields=(f"Host: {host}",), body=""):
        lines = [f"{method} {target} {version}", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")

    def with_fields(*fields, body="", method="POST", version="HTTP/1.1"):
        return request(method, fields=(f"Host: {host}", *fields), body=body, version=version)

    # Whoever reads one of these otherwise sees this request too.
    smuggled = request().decode("latin-1")
    table = []

    def bad(section, what, data):
        table.append((section, what, data, None))

    def good(what, data, *statuses):
        table.append(("good", what, data + with_fields("Connection: close", method="GET"), [*statuses, 200]))

    line = request()
    bad("2.2", "a request line that ends in LF", line.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\n"))
    bad("2.2", "a field that ends in LF", line.replace(b"\r\n\r\n", b"\nA: b\r\n\r\n"))
    bad("2.2", "a head that ends in LF LF", line.replace(b"\r\n", b"\n"))
    bad("2.2", "a head that ends in LF", line.replace(b"\r\n\r\n", b"\r\n\n"))
    bad("2.2", "a bare CR in the request line", line.replace(b" HTTP", b"\r HTTP"))
    bad("2.2", "a bare CR in a value", with_fields("A: b\rc", method="GET"))
    bad("2.2", "a bare CR for a line's end", with_fields("A: b\rContent-Length: 3", body="abc"))
    bad("2.2", "white space before the first field", line.replace(b"\r\nHost", b"\r\n Host"))
    bad("2.2", "three empty lines before a request", b"\r\n\r\n\r\n" + line)
    bad("2.2", "an LF before a request", b"\n" + line)
    for name, byte in (("NUL", "\0"), ("TAB", "\t"), ("VT", "\v"), ("DEL", "\x7f")):
        bad("3", f"{name} in the target", request(target=f"{path}{byte}"))
        bad("3", f"{name} in the method", request(method=f"GE{byte}T"))
    bad("3", "two spaces in the request line", request(target=f" {path}"))
    bad("3", "a space behind the version", request(version="HTTP/1.1 "))
    bad("3", "a space in the target", request(target=f"{path} x"))
    bad("3", "no version", line.replace(b" HTTP/1.1", b""))
    for version in ("HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/11", "http/1.1", "HTTP/1.1.1"):
        bad("3", f"version {version}", request(version=version))
    bad("3.2", "no Host", request(fields=()))
    bad("3.2", "two Hosts", with_fields(f"Host: {host}", method="GET"))
    bad("3.2", "two Hosts that differ", with_fields(f"Host: {other}", method="GET"))
    for value in ("", "a b", "a/b", "user@" + host, "a,b", host + "::", ":", "x:99999", ":80", "[::1"):
        bad("3.2", f"Host {value!r}", request(fields=(f"Host: {value}",)))
    bad("3.2.2", "an absolute target beside another Host", request(target=f"{url.scheme}://{other}{path}"))
    bad("3.2.2", "an absolute target of another scheme", request(target=f"ftp://{host}{path}"))
    bad("3.2.2", "an absolute target without Host", request(target=f"{options.url}{path}", fields=()))
    bad("3.2.2", "a user in an absolute target", request(target=f"{url.scheme}://user@{host}{path}"))
    bad("3.2.3", "CONNECT", request("CONNECT", host))
    bad("3.2.3", "an authority as the target of a GET", request(target=host))
    bad("3.2.4", "an asterisk as the target of a GET", request(target="*"))
    bad("3.2", "a target without its slash", request(target=path[1:]))
    bad("RFC 9110 9.3.8", "TRACE", request("TRACE"))
    bad("3.2", "a fragment in the target", request(target=f"{path}#f"))
    bad("RFC 9110 9.3.1", "a GET with a body", with_fields("Content-Length: 5", body="abcde" + smuggled, method="GET"))
    bad("RFC 9110 9.3.1", "a GET with a chunked body", with_fields("Transfer-Encoding: chunked", body="3\r\nabc\r\n0\r\n\r\n" + smuggled, method="GET"))
    bad("5.1", "a space before the colon", with_fields("A : b", method="GET"))
    bad("5.1", "a tab before the colon", with_fields("A\t: b", method="GET"))
    bad("5.1", "a space before the colon of Content-Length", with_fields("Content-Length : 3", body="abc"))
    bad("5.1", "a space before the colon of Transfer-Encoding", with_fields("Transfer-Encoding : chunked", body="0\r\n\r\n"))
    bad("5.1", "a line without a colon", with_fields("A", method="GET"))
    bad("5.1", "a field without a name", with_fields(": b", method="GET"))
    bad("5.1", "NUL in a name", with_fields("A\0: b", method="GET"))
    bad("5.1", "a bracket in a name", with_fields("A(: b", method="GET"))
    bad("5.1", "a letter beyond ASCII in a name", with_fields("\xe4: b", method="GET"))
    bad("5.2", "a folded field", with_fields("A: b", " c", method="GET"))
    bad("5.2", "a field folded with a tab", with_fields("A: b", "\tc", method="GET"))
    bad("5.2", "a folded Transfer-Encoding", with_fields("Transfer-Encoding:", " chunked", body="0\r\n\r\n"))
    for name, byte in (("NUL", "\0"), ("VT", "\v"), ("DEL", "\x7f"), ("ESC", "\x1b")):
        bad("5.5", f"{name} in a value", with_fields(f"A: b{byte}c", method="GET"))

    chunked = "0\r\n\r\n" + smuggled
    for coding in (
        "chunked, chunked", "gzip, chunked", "chunked, gzip", "xchunked", "chunkedx", "gzip", "identity",
        "chunked,", ",chunked", "\"chunked\"", "chunked;q=1", "chunked\v", "", "chunked, identity", "x", "cow",
    ):
        bad("6.1", f"Transfer-Encoding: {coding!r}", with_fields(f"Transfer-Encoding: {coding}", body=chunked))
    bad("6.1", "two Transfer-Encodings", with_fields("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=chunked))
    bad("6.1", "two Transfer-Encodings that differ", with_fields("Transfer-Encoding: chunked", "Transfer-Encoding: cow", body=chunked))
    bad("6.1", "Transfer-Encoding in HTTP/1.0", with_fields("Transfer-Encoding: chunked", body=chunked, version="HTTP/1.0"))
    for section, fields in (
        ("6.3", ("Content-Length: 5", "Transfer-Encoding: chunked")),
        ("6.3", ("Transfer-Encoding: chunked", "Content-Length: 5")),
        ("6.3", ("Content-Length: 0", "Transfer-Encoding: chunked")),
        ("6.3", ("Content-Length: 5", "Transfer-Encoding: xchunked")),
        ("6.3", ("Content-Length: 5", "Transfer-Encoding: gzip, chunked")),
    ):
        bad(section, " and ".join(fields), with_fields(*fields, body=chunked))
        bad(section, " and ".join(fields) + " of a GET", with_fields(*fields, body=chunked, method="GET"))
    for value in ("+5", "-5", "5, 5", "5,6", "0x5", "5 5", "five", "", "5.0", "18446744073709551616", "5;", "\"5\""):
        bad("6.3", f"Content-Length: {value!r}", with_fields(f"Content-Length: {value}", body="abcde" + smuggled))
    bad("6.3", "two Content-Lengths", with_fields("Content-Length: 5", "Content-Length: 5", body="abcde" + smuggled))
    bad("6.3", "two Content-Lengths that differ", with_fields("Content-Length: 5", "Content-Length: 0", body="abcde" + smuggled))
    bad("6.3", "Content-Length in two spellings", with_fields("Content-Length: 0", "content-length: 5", body="abcde" + smuggled))

    def chunks(section, what, body):
        # The head alone is well-formed and may get its own answer; what follows is not.
        table.append((section, what, with_fields("Transfer-Encoding: chunked", body=body + smuggled), "body"))

    chunks("7.1", "a chunk of a size that is no number", "x\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size with a sign", "+3\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size below zero", "-3\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a space before a size", " 3\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a space behind a size", "3 \r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "no size", "\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size of 2^64", "10000000000000000\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size that overflows to 3", "10000000000000003\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size of seventeen digits", "00000000000000003\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size that ends in LF", "3\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size that ends in CR", "3\rabc\r\n0\r\n\r\n")
    chunks("7.1", "a chunk that ends in LF", "3\r\nabc\n0\r\n\r\n")
    chunks("7.1", "a chunk that ends in CR", "3\r\nabc\r0\r\n\r\n")
    chunks("7.1", "a chunk longer than its size", "3\r\nabcd\r\n0\r\n\r\n")
    chunks("7.1", "a chunk shorter than its size", "5\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "NUL behind a size", "3\0\r\nabc\r\n0\r\n\r\n")
    chunks("7.1", "a size with an underscore", "1_0\r\nabc\r\n0\r\n\r\n")
    chunks("7.1.1", "an extension of a kilobyte", "3;" + "a" * 1024 + "\r\nabc\r\n0\r\n\r\n")
    chunks("7.1.1", "LF in an extension", "3;a\nabc\r\n0\r\n\r\n")
    chunks("7.1.1", "bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n")
    chunks("7.1.1", "NUL in an extension", "3;\0\r\nabc\r\n0\r\n\r\n")
    chunks("7.1.2", "Content-Length in trailers", "0\r\nContent-Length: 5\r\n\r\n")
    chunks("7.1.2", "Transfer-Encoding in trailers", "0\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunks("7.1.2", "a space before a colon in trailers", "0\r\nA : b\r\n\r\n")
    chunks("7.1.2", "trailers that end in LF", "0\r\nA: b\n\r\n")
    chunks("7.1.2", "a folded trailer", "0\r\nA: b\r\n c\r\n\r\n")
    bad("9.8", "bytes of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    bad("9.8", "bytes of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    bad("3", "a target of 100 KB", request(target=path + "?" + "a" * 100_000))
    bad("5.4", "a head of 100 KB", with_fields(*[f"A: {'b' * 1000}"] * 100, method="GET"))
    bad("5.4", "a thousand fields", with_fields(*["A: b"] * 1000, method="GET"))

    good("GET", line, 200)
    good("ten requests at once", line * 10, *[200] * 10)
    good("an absolute target", request(target=f"{options.url}{path}"), 200)
    good("empty lines before a request", b"\r\n" + line + b"\r\n" + line, 200, 200)
    good("values with white space around them", with_fields("A:b", "B: \t c \t ", "C:", method="GET"), 200)
    good("letters beyond ASCII in a value", with_fields("A: \xe4", method="GET"), 200)
    good("an offer of h2c, not taken", with_fields("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", method="GET"), 200)
    good("an offer of websocket, not taken", with_fields("Connection: Upgrade", "Upgrade: websocket", method="GET"), 200)
    # Without it the edge is asked under the same name, by the port that is meant.
    named = request(fields=(f"Host: {url.hostname}:",))
    table.append(("good", "a Host with an empty port", named.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), [200]))
    good("GET with a chunked body of nothing", with_fields("Transfer-Encoding: Chunked", body="0\r\n\r\n", method="GET"), 200)
    good("OPTIONS *", request("OPTIONS", "*"), 204)
    good("Content-Length 0", with_fields("Content-Length: 0", method="GET"), 200)
    return table


def check(options, data, wanted):
    with connect(options) as connection:
        try:
            connection.sendall(data)
        except OSError:
            pass  # closed in the middle: what it said is there to be read
        seen, due = b"", time.monotonic() + PATIENCE
        while True:
            connection.settimeout(max(due - time.monotonic(), 0.01))
            try:
                piece = connection.recv(1 << 16)
            except TimeoutError:
                raise AssertionError(f"stays open, answered {answers(seen)}") from None
            except OSError:
                piece = b""
            if not piece:
                break
            seen += piece
    got = answers(seen)
    if wanted == "body":
        # One answer, to the head alone or to the whole: never to what was smuggled.
        if len(got) > 1 or got and not 400 <= got[0] < 500:
            raise AssertionError(f"answered {got}")
    elif wanted is None:
        if len(got) > 1 or got and (not 400 <= got[0] < 500 or got[0] in (404, 405)):
            raise AssertionError(f"answered {got}")
        if not got and not data.startswith((b"PRI", b"\x16")):
            raise AssertionError("closed without an answer")
    elif got != wanted:
        raise AssertionError(f"answered {got}, wanted {wanted}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca", help="for https")
    parser.add_argument("--path", required=True)
    parser.add_argument("--host", help="address to connect to, when it is not what the URL says")
    parser.add_argument("--only", help="checks whose name contains this")
    options = parser.parse_args()
    passed = failed = 0
    summary = {
        "kit": "h1",
        "malformed": {"sent": 0, "refused": 0},
        "controls": {"sent": 0, "passed": 0},
    }
    for section, what, data, wanted in rows(options):
        name = f"h1: {section}: {what}"
        if options.only and options.only not in name:
            continue
        kind, held = ("controls", "passed") if section == "good" else ("malformed", "refused")
        summary[kind]["sent"] += 1
        try:
            check(options, data, wanted)
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
