"""HTTP/3 as others speak it, against a running edge.

libcurl (ngtcp2 and nghttp3, through pycurl) asks what clients ask; aioquic sends many
requests at once, and what RFC 9114 and RFC 9204 call malformed, section by section (malformed.py).
Every check prints a line, and the last line counts them; what is known to be wrong counts as
neither. The line before it, JSON, says how many malformed ones were sent and refused, and how many
of those beside them that are fine were answered.

    interop.py --url https://localhost:8443 --ca ca.pem --path /t/TOKEN/vod/FILM/SEGMENT \
        --missing /t/TOKEN/vod/FILM/nothing.m4s
"""

import argparse
import asyncio
import hashlib
import io
import json
import sys
import traceback
from urllib.parse import urlsplit

import pycurl
from aioquic.h3.connection import ErrorCode

import malformed
from client import PATIENCE, connection, expect

# curl/curl.h; pycurl does not name it in every build.
HTTP_VERSION_3ONLY = 31

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


def quic_checks(options, whole):
    url = urlsplit(options.url)
    authority = url.netloc.encode()

    def good(path=options.path):
        return [
            (b":method", b"GET"), (b":scheme", b"https"),
            (b":authority", authority), (b":path", path.encode()),
        ]

    def check(run):
        async def whole_run():
            async with connection(options, url) as client:
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

    checks = [
        ("aioquic: GET", serves),
        ("aioquic: 100 streams at once", many),
        ("aioquic: a cancelled stream leaves the others alone", cancelled),
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
    summary = {
        "kit": "h3",
        "malformed": {"sent": 0, "refused": 0},
        "controls": {"sent": 0, "passed": 0},
    }

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
        for row in malformed.rows(options):
            name = f"{row.section}: {row.name}"
            if options.only is None or options.only in name:
                row.held = run(name, row.check) is True
                summary[row.kind]["sent"] += 1
                summary[row.kind]["refused" if row.kind == "malformed" else "passed"] += row.held
    print(json.dumps(summary))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
