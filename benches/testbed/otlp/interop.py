"""Traces of a running edge, taken by a collector that others wrote and read by OpenTelemetry's own
messages.

An edge of our own posts its spans to rotel, an OpenTelemetry collector in Rust, which sends them on
to this script; later to this script at once, told so by a reload. Here they are decoded by the
`opentelemetry-proto` package and held against what was asked for and what the origin, also here,
was sent. Every check prints a line, and the last counts them.

    interop.py --edge target/release/weir-edge
"""

import argparse
import gzip
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import rotel
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

PATIENCE = 10
SECRET = "hunter2hunter2"
BODY = b"what stands at the origin"
PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

passed = failed = 0


def check(what, held, why=""):
    global passed, failed
    passed, failed = passed + bool(held), failed + (not held)
    print(f"{'pass' if held else 'FAIL'} {what}" + ("" if held else f": {why}"), flush=True)


class Quiet(ThreadingHTTPServer):
    daemon_threads = True


class Collected:
    """Spans that arrived, and the bytes they came in."""

    def __init__(self):
        self.news = threading.Condition()
        self.spans, self.resources, self.scopes, self.fields = [], [], [], []
        self.bytes = b""

    def take(self, body, fields):
        request = ExportTraceServiceRequest.FromString(body)
        unknown = request.SerializeToString() != body and not fields.get("content-encoding")
        with self.news:
            self.bytes += body
            self.fields.append(fields)
            if unknown:
                self.scopes.append("does not come back as it was")
            for each in request.resource_spans:
                self.resources.append(named(each.resource.attributes))
                for scope in each.scope_spans:
                    self.scopes.append(scope.scope.name)
                    self.spans.extend(scope.spans)
            self.news.notify_all()

    def wait(self, wanted):
        """The spans of the trace of the first server span that is wanted, when all are there."""
        deadline = time.monotonic() + PATIENCE
        with self.news:
            while True:
                for span in self.spans:
                    if span.kind == Span.SPAN_KIND_SERVER and wanted(span):
                        return [other for other in self.spans if other.trace_id == span.trace_id]
                left = deadline - time.monotonic()
                if left <= 0 or not self.news.wait(left):
                    return []


def named(attributes):
    def plain(value):
        kind = value.WhichOneof("value")
        if kind == "array_value":
            return [plain(one) for one in value.array_value.values]
        return getattr(value, kind)

    names = [one.key for one in attributes]
    assert len(names) == len(set(names)), names
    return {one.key: plain(one.value) for one in attributes}


def collector(collected):
    class Collector(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            fields = {name.lower(): value for name, value in self.headers.items()}
            collected.take(body, {**fields, "path": self.path})
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    return serve(Collector)


def origin(seen):
    class Origin(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            slow = "/slow" in self.path
            if slow:
                time.sleep(0.3)
            status = 503 if "/broken" in self.path else 200
            self.send_response(status)
            self.send_header("cache-control", "max-age=60")
            self.send_header("content-length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_):
            pass

    return serve(Origin)


def serve(handler):
    server = Quiet(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            found = holds()
            if found:
                return found
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"FAIL {what}: not within {PATIENCE} s")


class Edge:
    def __init__(self, program, folder, upstream):
        self.folder, self.upstream = folder, upstream
        self.port, self.management = free(), free()
        with open(os.path.join(folder, "fields.toml"), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(f'[headers]\nauthorization = "Bearer {SECRET}"\n')
        self.config = os.path.join(folder, "edge.toml")
        self.program = program

    def start(self, **traces):
        self.write(**traces)
        log = open(os.path.join(self.folder, "edge.log"), "w")
        self.child = subprocess.Popen([self.program, "--config", self.config], stderr=log, stdout=log)
        until("the edge serves", lambda: self.get("/healthz-of-nobody") is not None)

    def write(self, **traces):
        keys = "".join(f"{name} = {json.dumps(value)}\n" for name, value in traces.items())
        with open(self.config, "w") as file:
            file.write(
                f'[node]\nname = "edge-1"\nsite = "lim"\nworkers = 1\n'
                f'[listen]\nhttp = ["127.0.0.1:{self.port}"]\n'
                f'[admin]\nsocket = "admin.sock"\nlisten = "127.0.0.1:{self.management}"\n'
                f'[cache]\nmemory = "128 MiB"\n[log]\nlevel = "info"\n'
                f'[clients]\ntrusted_forwarders = ["127.0.0.0/8"]\n[traces]\n{keys}'
                f'[[upstream]]\nid = "web"\nkind = "http"\nurl = "http://127.0.0.1:{self.upstream}/base"\n'
                f'[[upstream]]\nid = "s3-main"\nkind = "s3"\nbucket = "films"\n'
                f'endpoint = "http://127.0.0.1:{self.upstream}"\n'
                f'[[service]]\nid = "stored"\npath_prefix = "/s3/"\npreset = "media"\nupstreams = ["s3-main"]\n'
                f'[[service]]\nid = "film"\npath_prefix = "/vod/"\npreset = "media"\nupstreams = ["web"]\n'
                f'[[service]]\nid = "site"\npreset = "proxy"\nupstreams = ["web"]\n'
            )

    def reload(self, **traces):
        self.write(**traces)
        said = self.admin("POST", "/v1/config/reload", {"dry_run": False})
        assert said["outcome"] == "applied", said

    def admin(self, method, path, order=None):
        client = http.client.HTTPConnection("admin")
        client.sock = socket.socket(socket.AF_UNIX)
        client.sock.settimeout(PATIENCE)
        client.sock.connect(os.path.join(self.folder, "admin.sock"))
        client.request(method, path, json.dumps(order) if order else None)
        return json.loads(client.getresponse().read())

    def get(self, path, **fields):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        client.request("GET", path, headers=fields)
        answer = client.getresponse()
        return answer.status, answer.read()

    def counted(self):
        client = http.client.HTTPConnection("127.0.0.1", self.management, timeout=PATIENCE)
        client.request("GET", "/metrics")
        text = client.getresponse().read().decode()
        found = re.findall(r'^edge_trace_spans_total\{outcome="(\w+)"\} (\d+)', text, re.M)
        return {outcome: int(count) for outcome, count in found}


def at(path):
    return lambda span: named(span.attributes)["url.path"] == path


def by_kind(spans, kind):
    return [span for span in spans if span.kind == kind]


def miss_and_hit(edge, collected, seen, through):
    path = f"/vod/{through}.m4s"
    edge.get(f"{path}?token={SECRET}", range="bytes=0-4", x_secret=SECRET)
    spans = collected.wait(at(path))
    servers, clients = by_kind(spans, Span.SPAN_KIND_SERVER), by_kind(spans, Span.SPAN_KIND_CLIENT)
    check(f"{through}: a miss has one span of its client and one of its upstream",
          (len(servers), len(clients)) == (1, 1), [span.name for span in spans])
    if not servers or not clients:
        return
    server, client = servers[0], clients[0]
    told = named(server.attributes)
    expected = {
        "http.request.method": "GET", "url.scheme": "http", "url.path": path,
        "http.response.status_code": 206, "http.response.body.size": 5,
        "network.protocol.version": "1.1", "server.address": "127.0.0.1", "server.port": edge.port,
        "client.address": "127.0.0.0", "http.request.header.range": ["bytes=0-4"],
        "weir.cache": "miss", "weir.service": "film",
        "weir.request.id": server.span_id.hex(),
    }
    check(f"{through}: a request's attributes", told == expected, told)
    asked = named(client.attributes)
    check(f"{through}: an upstream's attributes", {
        "http.request.method": "GET", "server.address": "127.0.0.1", "server.port": edge.upstream,
        "url.full": f"http://127.0.0.1:{edge.upstream}/base{path}",
        "http.response.status_code": 200, "weir.upstream": "web",
    }.items() <= asked.items(), asked)
    check(f"{through}: names are of few", (server.name, client.name) == ("GET", "GET"))
    parts = {span.name: span for span in by_kind(spans, Span.SPAN_KIND_INTERNAL)}
    check(f"{through}: its phases", set(parts) == {"cache lookup", "fill", "open", "deliver"}, set(parts))
    inside = all(span.parent_span_id == server.span_id for span in [client, *parts.values()])
    check(f"{through}: all are parts of the request, which is the root",
          inside and not server.parent_span_id)
    ordered = all(server.start_time_unix_nano <= span.start_time_unix_nano
                  <= span.end_time_unix_nano <= server.end_time_unix_nano for span in parts.values())
    check(f"{through}: times are in order, and of now", ordered
          and abs(server.start_time_unix_nano / 1e9 - time.time()) < PATIENCE
          and client.start_time_unix_nano <= client.end_time_unix_nano)
    check(f"{through}: ids are whole and differ",
          {len(span.trace_id) for span in spans} == {16} and len({s.span_id for s in spans}) == len(spans))
    check(f"{through}: nothing failed", all(s.status.code == Status.STATUS_CODE_UNSET for s in spans))
    sent = dict(seen)[f"/base{path}"]["traceparent"]
    check(f"{through}: the origin is told the span that asks it",
          sent == f"00-{client.trace_id.hex()}-{client.span_id.hex()}-01", sent)
    record = edge.admin("GET", f"/v1/trace?id={server.span_id.hex()}")
    check(f"{through}: cachectl trace knows it by its span",
          [one["request"] for one in record.get("upstream", [])] == [server.span_id.hex()], record)
    edge.get(path)
    hit = until("a hit", lambda: [s for s in collected.spans if s.kind == Span.SPAN_KIND_SERVER
                                  and named(s.attributes)["weir.cache"] == "hit_mem"
                                  and named(s.attributes)["url.path"] == path])
    hit = [span for span in collected.spans if span.trace_id == hit[0].trace_id]
    check(f"{through}: a hit asks nobody", not by_kind(hit, Span.SPAN_KIND_CLIENT))


def parents(edge, collected, seen):
    trace, span = PARENT
    edge.get("/vod/asked.m4s", traceparent=f"00-{trace}-{span}-01", tracestate="a=1")
    spans = collected.wait(at("/vod/asked.m4s"))
    server = by_kind(spans, Span.SPAN_KIND_SERVER)
    check("a believed parent is the parent", server and server[0].trace_id.hex() == trace
          and server[0].parent_span_id.hex() == span and server[0].trace_state == "a=1", server)
    fields = dict(seen)["/base/vod/asked.m4s"]
    check("its trace goes on to the origin", fields["traceparent"].startswith(f"00-{trace}-")
          and fields["tracestate"] == "a=1", fields)
    edge.get("/vod/unasked.m4s", traceparent=f"00-{'b' * 32}-{span}-00")
    check("so goes that it is not told", dict(seen)["/base/vod/unasked.m4s"]["traceparent"]
          .startswith(f"00-{'b' * 32}-") and dict(seen)["/base/vod/unasked.m4s"]["traceparent"].endswith("-00"))
    edge.get("/vod/marker.m4s")
    collected.wait(at("/vod/marker.m4s"))
    check("what its parent does not tell is not told",
          not [s for s in collected.spans if s.trace_id.hex() == "b" * 32])


def unbelieved(edge, collected, seen):
    trace, span = PARENT
    edge.get("/proxied", traceparent=f"00-{'c' * 32}-{span}-01", tracestate="evil=1")
    spans = collected.wait(at("/proxied"))
    server = by_kind(spans, Span.SPAN_KIND_SERVER)
    check("who is not believed begins no trace", server and not server[0].parent_span_id
          and server[0].trace_id.hex() != "c" * 32, server)
    fields = dict(seen)["/base/proxied"]
    check("nor does what he says go on to the origin", "c" * 32 not in fields["traceparent"]
          and "tracestate" not in fields, fields)


def over_s3(edge, collected, seen):
    edge.get("/s3/a.m4s")
    spans = collected.wait(at("/s3/a.m4s"))
    clients = by_kind(spans, Span.SPAN_KIND_CLIENT)
    url = [named(span.attributes)["url.full"] for span in clients]
    check("an exchange with S3", url == [f"http://127.0.0.1:{edge.upstream}/films/s3/a.m4s"], url)
    sent = next(fields for path, fields in seen if path.startswith("/films/s3/a.m4s"))
    check("S3 is told the span that asks it", clients
          and sent.get("traceparent", "").split("-")[2:3] == [clients[0].span_id.hex()], sent)


def together(edge, collected):
    edge_get = lambda: edge.get("/vod/slow.m4s")
    threads = [threading.Thread(target=edge_get) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until("all three are told", lambda: len([
        s for s in collected.spans if s.kind == Span.SPAN_KIND_SERVER and at("/vod/slow.m4s")(s)]) == 3)
    servers = [s for s in collected.spans if s.kind == Span.SPAN_KIND_SERVER and at("/vod/slow.m4s")(s)]
    asked = until("the exchange", lambda: [
        s for s in collected.spans if s.kind == Span.SPAN_KIND_CLIENT
        and named(s.attributes)["url.full"].endswith("/slow.m4s")])
    check("three that wait for one have one exchange", len(asked) == 1, len(asked))
    leader = [s for s in servers if s.trace_id == asked[0].trace_id]
    links = [(link.trace_id, link.span_id) for s in servers if s not in leader for link in s.links]
    check("who waits for another's is linked to it", len(leader) == 1
          and links == [(asked[0].trace_id, asked[0].span_id)] * 2, links)


def failures(edge, collected):
    edge.get("/broken")
    spans = collected.wait(at("/broken"))
    server, client = (by_kind(spans, kind) for kind in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT))
    wrong = [(s.status.code, named(s.attributes).get("error.type")) for s in server + client]
    check("what failed is told though nothing is sampled", server and set(wrong) == {(2, "503")}, wrong)
    check("and says that it was not", server and server[0].flags & 1 == 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--edge", required=True)
    options = parser.parse_args()
    collected, seen = Collected(), []
    receiver, upstream = collector(collected), origin(seen)
    entry, grpc = free(), free()
    agent = os.path.join(os.path.dirname(rotel.__file__), "rotel-agent")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "rotel.log"), "w") as log:
            between = subprocess.Popen(
                [agent, "start", "--otlp-http-endpoint", f"127.0.0.1:{entry}",
                 "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--exporter", "otlp",
                 "--otlp-exporter-endpoint", f"http://127.0.0.1:{receiver}",
                 "--otlp-exporter-protocol", "http", "--batch-timeout", "50ms",
                 "--pid-file", os.path.join(folder, "rotel.pid")], stdout=log, stderr=log)
        edge = Edge(options.edge, folder, upstream)
        keys = {"sample_ratio": 1.0, "interval": "100ms", "headers": "fields.toml"}
        try:
            until("rotel listens", lambda: socket.create_connection(("127.0.0.1", entry), 1))
            edge.start(endpoint=f"http://127.0.0.1:{entry}", **keys)
            miss_and_hit(edge, collected, seen, "through-rotel")
            edge.reload(endpoint=f"http://127.0.0.1:{receiver}/v1/traces", **keys)
            collected.bytes, collected.fields, collected.scopes = b"", [], []
            miss_and_hit(edge, collected, seen, "at-once")
            parents(edge, collected, seen)
            over_s3(edge, collected, seen)
            together(edge, collected)
            edge.reload(endpoint=f"http://127.0.0.1:{receiver}/v1/traces", parents="never", **keys)
            unbelieved(edge, collected, seen)
            check("who tells", {"service.name": "weir-edge", "service.instance.id": "edge-1",
                                "weir.site": "lim"}.items() <= collected.resources[-1].items(),
                  collected.resources[-1])
            check("every byte is known to OpenTelemetry's messages",
                  set(collected.scopes) == {"weir-edge"}, set(collected.scopes))
            check("posts carry their fields", collected.fields[-1]["authorization"] == f"Bearer {SECRET}"
                  and collected.fields[-1]["path"] == "/v1/traces", collected.fields[-1])
            check("no secret is told", SECRET.encode() not in collected.bytes)
            edge.reload(endpoint=f"http://127.0.0.1:{receiver}", **{**keys, "sample_ratio": 0.0})
            failures(edge, collected)
            # A post is counted when its answer has come.
            until("all are counted", lambda: edge.counted().get("exported", 0) >= len(collected.spans))
            counted = {"exported": len(collected.spans), "dropped": 0, "failed": 0}
            check("all are counted, each once", edge.counted() == counted, (edge.counted(), counted))
            edge.reload(endpoint=f"http://127.0.0.1:{free()}", **keys)
            edge.get("/lost")
            status = until("the status tells of it", lambda: (
                lambda told: "spans of traces" in json.dumps(told) and told)(edge.admin("GET", "/v1/status")))
            check("a collector that is gone is told", status["verdict"] == "degraded", status["verdict"])
            edge.reload(sample_ratio=1.0)
            edge.get("/vod/off.m4s")
            check("without an endpoint nothing is told", "traceparent" not in dict(seen)["/base/vod/off.m4s"]
                  and "spans of traces" not in json.dumps(edge.admin("GET", "/v1/status")))
            edge.reload(endpoint=f"http://127.0.0.1:{receiver}", **{**keys, "interval": "60s"})
            edge.get("/vod/last.m4s")
            edge.child.terminate()
            edge.child.wait(PATIENCE)
            check("what waits is posted at the end", collected.wait(at("/vod/last.m4s")))
        finally:
            for child in (getattr(edge, "child", None), between):
                if child and child.poll() is None:
                    child.kill()
                    child.wait()
            if failed:
                for name in ("edge.log", "rotel.log"):
                    path = os.path.join(folder, name)
                    if os.path.exists(path):
                        print(f"── {name}\n{open(path).read()[-3000:]}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
