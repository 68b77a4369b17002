#!/usr/bin/env python3
"""Holds an S3 server against what Weir expects of one, through boto3.

    compat.py --server ours --origin target/release/weir-origin
    compat.py --server moto
    compat.py --server garage [--garage PROGRAM]
    compat.py --endpoint http://127.0.0.1:9000 --bucket films --access-key ID \
              --secret-key SECRET [--region local] [--server moto]

The first three start the server themselves in a temporary directory, on loopback, and end it.
One line for each check; the last line is `N passed, N failed`. A check that a named server is
known to fail is run and shown, but counts as neither.
"""

import argparse
import base64
import datetime
import hashlib
import http.client
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
import urllib.request
import zlib

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

READY_SECONDS = 60
MIB = 1 << 20

# Server → check → why it may fail there. Whatever else fails is a failure.
NO_AUTH = "does not look at signatures or permissions"
REPEATS = "repeats a folded prefix on every page of ListObjects version 1"
CLIMBS = "takes `.` and `..` as names like any others, each its own object, as S3 does"
LONG_KEYS = "takes keys of any length"
KNOWN = {
    "moto": {
        "presigned_expired": "accepts expired presigned URLs",
        "expiry_is_named": "accepts expired presigned URLs",
        "presigned_tampered": "accepts tampered presigned URLs",
        "presigned_too_long": "accepts any life of a presigned URL",
        "wrong_secret": NO_AUTH,
        "bad_signature_is_named": NO_AUTH,
        "unknown_key": NO_AUTH,
        "anonymous": NO_AUTH,
        "first_list_folds_in_pages": REPEATS,
        "key_too_long": LONG_KEYS,
        "keys_that_climb": CLIMBS,
        "multipart_abort": "answers 500 when a part comes for an aborted upload",
        "bad_digest": "does not check Content-MD5",
        "bad_checksum": "does not check x-amz-checksum-*",
        "checksum_behind_the_body": "does not check x-amz-checksum-*",
    },
    "garage": {
        # Version 2.5.0.
        "failed_conditions_are_named": "sends 412 without a body",
        "write_if_absent": "passes over If-None-Match of a PUT: the second one overwrites",
        "first_list_folds_in_pages": REPEATS,
        "key_too_long": LONG_KEYS,
        "keys_that_climb": CLIMBS,
        "part_too_small": "joins parts of any size",
        "expiry_is_named": "answers an expired presigned URL with 400 InvalidRequest",
        "bad_signature_is_named": "answers a wrong signature with AccessDenied",
    },
}

CHECKS = []


def check(function):
    """Registers a check; it fails by raising."""
    CHECKS.append(function)
    return function


class Server:
    """Where the checks go and as whom."""

    def __init__(self, endpoint, bucket, access, secret, region, reader=None, sealed=None):
        self.endpoint, self.bucket, self.region = endpoint, bucket, region
        self.access, self.secret = access, secret
        # Credentials that may only read, and a bucket that exists and that no key here opens.
        self.reader, self.sealed = reader, sealed
        self.prefix = f"compat-{secrets.token_hex(4)}/"
        self.s3 = self.client(access, secret)

    def client(self, access, secret):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            region_name=self.region,
            config=botocore.config.Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"max_attempts": 1, "mode": "standard"},
                connect_timeout=10,
                read_timeout=60,
            ),
        )

    def key(self, name):
        return self.prefix + name

    def put(self, name, body=b"hello", **fields):
        return self.s3.put_object(Bucket=self.bucket, Key=self.key(name), Body=body, **fields)

    def get(self, name, **fields):
        return self.s3.get_object(Bucket=self.bucket, Key=self.key(name), **fields)

    def body(self, name, **fields):
        return self.get(name, **fields)["Body"].read()

    def path(self, name):
        return "/" + self.bucket + "/" + urllib.parse.quote(self.key(name), safe="/~")

    def send(self, method, path, headers=None, body=b""):
        """One request as it is; the path is not touched. Gives (status, headers, body)."""
        where = urllib.parse.urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body or method in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def signed(self, method, path, headers=None, body=b""):
        """Fields of a request signed with the main key."""
        request = botocore.awsrequest.AWSRequest(
            method=method, url=self.endpoint + path, headers=headers or {}, data=body
        )
        if "x-amz-trailer" in (headers or {}):
            request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
        who = botocore.credentials.Credentials(self.access, self.secret)
        botocore.auth.S3SigV4Auth(who, "s3", self.region).add_auth(request)
        return dict(request.headers.items())

    def presigned(self, operation, name, seconds=60, **fields):
        params = {"Bucket": self.bucket, "Key": self.key(name), **fields}
        return self.s3.generate_presigned_url(operation, Params=params, ExpiresIn=seconds)

    def follow(self, url, method="GET", body=b""):
        parts = urllib.parse.urlsplit(url)
        return self.send(method, f"{parts.path}?{parts.query}", body=body)


def md5(data):
    return hashlib.md5(data).hexdigest()


def same(found, expected, what=""):
    if found != expected:
        raise AssertionError(f"{what}: {found!r:.300}, expected {expected!r:.300}")


def refused(status, code, call, *arguments, **named):
    """The call must fail with this status (or one of these) and code (or one of these)."""
    try:
        call(*arguments, **named)
    except botocore.exceptions.ClientError as error:
        found = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if found not in (status if isinstance(status, tuple) else (status,)):
            raise AssertionError(f"status {found}, not {status}: {error}") from None
        codes = code if isinstance(code, tuple) else (code,)
        if code and error.response["Error"]["Code"] not in codes:
            raise AssertionError(f"code {error.response['Error']['Code']}, not {code}") from None
        return error.response
    raise AssertionError(f"succeeded; expected {status} {code}")


def noise(size, seed):
    return hashlib.shake_128(str(seed).encode()).digest(size)


# Objects ------------------------------------------------------------------------------------


@check
def put_and_get(s):
    for size in (0, 1, 65_537, MIB + 3, 9 * MIB):
        data = noise(size, size)
        etag = s.put("object", data)["ETag"]
        same(etag, f'"{md5(data)}"', "ETag")
        found = s.get("object")
        same(found["ContentLength"], size, "length")
        same(found["ETag"], etag, "ETag")
        same(md5(found["Body"].read()), md5(data), f"{size} bytes")


@check
def fields_travel(s):
    sent = {
        "ContentType": "video/mp4",
        "CacheControl": "public, max-age=31536000, immutable",
        "ContentDisposition": 'attachment; filename="a b.mp4"',
        "ContentLanguage": "en",
        "Metadata": {"title": "A film", "version": "1"},
    }
    s.put("fields", b"x", **sent)
    for found in (s.get("fields"), s.s3.head_object(Bucket=s.bucket, Key=s.key("fields"))):
        for name, value in sent.items():
            same(found[name], value, name)
        same(found["ContentLength"], 1, "length")
        age = datetime.datetime.now(datetime.timezone.utc) - found["LastModified"]
        assert abs(age.total_seconds()) < 120, found["LastModified"]


@check
def head_has_no_body(s):
    s.put("head", b"12345")
    status, headers, body = s.send("HEAD", s.path("head"), s.signed("HEAD", s.path("head")))
    same((status, headers["content-length"], body), (200, "5", b""))
    status, _, body = s.send("HEAD", s.path("none"), s.signed("HEAD", s.path("none")))
    same((status, body), (404, b""))


@check
def missing_object(s):
    answer = refused(404, "NoSuchKey", s.get, "nothing")
    same(answer["Error"]["Code"], "NoSuchKey")
    refused(404, ("404", "NoSuchKey"), s.s3.head_object, Bucket=s.bucket, Key=s.key("nothing"))


@check
def overwrite(s):
    s.put("again", b"first")
    s.put("again", b"second")
    same(s.body("again"), b"second")


# Ranges and conditions ----------------------------------------------------------------------


@check
def ranges(s):
    data = noise(700_000, "ranges")
    s.put("range", data)
    for asked, begin, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=100-299999", 100, 300_000),
        ("bytes=699999-", 699_999, 700_000),
        ("bytes=-5", 699_995, 700_000),
        ("bytes=10-99999999", 10, 700_000),
    ):
        found = s.get("range", Range=asked)
        same(found["ResponseMetadata"]["HTTPStatusCode"], 206, asked)
        same(found["ContentRange"], f"bytes {begin}-{end - 1}/700000", asked)
        same(md5(found["Body"].read()), md5(data[begin:end]), asked)


@check
def range_outside(s):
    s.put("short", b"12345")
    refused(416, "InvalidRange", s.get, "short", Range="bytes=5-")


@check
def if_none_match(s):
    etag = s.put("tagged")["ETag"]
    refused(304, None, s.get, "tagged", IfNoneMatch=etag)
    same(s.body("tagged", IfNoneMatch='"0123"'), b"hello")
    status, headers, body = s.send(
        "GET", s.path("tagged"), s.signed("GET", s.path("tagged"), {"If-None-Match": etag})
    )
    same((status, headers.get("etag"), body), (304, etag, b""))


@check
def if_match(s):
    etag = s.put("matched")["ETag"]
    same(s.body("matched", IfMatch=etag), b"hello")
    refused(412, None, s.get, "matched", IfMatch='"0123"')
    # How an edge resumes a body: the same object or nothing.
    same(s.body("matched", IfMatch=etag, Range="bytes=2-"), b"llo")
    s.put("matched", b"other")
    refused(412, None, s.get, "matched", IfMatch=etag, Range="bytes=2-")
    refused(412, None, s.s3.head_object, Bucket=s.bucket, Key=s.key("matched"), IfMatch=etag)


@check
def if_modified_since(s):
    s.put("dated")
    now = datetime.datetime.now(datetime.timezone.utc)
    later, earlier = now + datetime.timedelta(hours=1), now - datetime.timedelta(hours=1)
    same(s.body("dated", IfModifiedSince=earlier), b"hello")
    same(s.body("dated", IfUnmodifiedSince=later), b"hello")
    refused(412, None, s.get, "dated", IfUnmodifiedSince=earlier)
    written = s.get("dated")["LastModified"]
    refused(304, None, s.get, "dated", IfModifiedSince=written)


@check
def failed_conditions_are_named(s):
    s.put("named")
    refused(412, "PreconditionFailed", s.get, "named", IfMatch='"0123"')
    long_ago = datetime.datetime(1994, 11, 6, tzinfo=datetime.timezone.utc)
    refused(412, "PreconditionFailed", s.get, "named", IfUnmodifiedSince=long_ago)


@check
def write_if_absent(s):
    s.put("once", b"first", IfNoneMatch="*")
    refused(412, "PreconditionFailed", s.put, "once", b"second", IfNoneMatch="*")
    same(s.body("once"), b"first")


# Listings -----------------------------------------------------------------------------------


def keys_of(page):
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes_of(page):
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


LISTED = ["a", "a-b", "a.b", "a/", "a/b", "a/b/c", "a/c", "b/c/d", "c", "d e", "é/x"]


def fill(s, below):
    for name in LISTED:
        s.put(below + name, b"x")
    return s.key(below)


@check
def list_in_byte_order(s):
    prefix = fill(s, "order/")
    expected = [prefix + name for name in LISTED]
    for call in (s.s3.list_objects_v2, s.s3.list_objects):
        same(keys_of(call(Bucket=s.bucket, Prefix=prefix)), expected, call.__name__)
    page = s.s3.list_objects_v2(Bucket=s.bucket, Prefix=prefix + "a/b")
    same(keys_of(page), [prefix + "a/b", prefix + "a/b/c"])
    same(page["Contents"][0]["Size"], 1)
    same(page["Contents"][0]["ETag"], f'"{md5(b"x")}"')
    page = s.s3.list_objects_v2(Bucket=s.bucket, Prefix=prefix, StartAfter=prefix + "b/c/d")
    same(keys_of(page), [prefix + name for name in ("c", "d e", "é/x")])


@check
def list_folds_at_delimiter(s):
    prefix = fill(s, "fold/")
    for call in (s.s3.list_objects_v2, s.s3.list_objects):
        page = call(Bucket=s.bucket, Prefix=prefix, Delimiter="/")
        same(keys_of(page), [prefix + n for n in ("a", "a-b", "a.b", "c", "d e")])
        same(prefixes_of(page), [prefix + n for n in ("a/", "b/", "é/")])
        page = call(Bucket=s.bucket, Prefix=prefix + "a/", Delimiter="/")
        same(keys_of(page), [prefix + n for n in ("a/", "a/b", "a/c")])
        same(prefixes_of(page), [prefix + "a/b/"])


@check
def list_in_pages(s):
    prefix = fill(s, "pages/")
    for name in ("list_objects_v2", "list_objects"):
        pages = s.s3.get_paginator(name).paginate(
            Bucket=s.bucket, Prefix=prefix, PaginationConfig={"PageSize": 3}
        )
        found = [keys_of(page) for page in pages]
        assert all(len(page) <= 3 for page in found) and len(found) >= 4, found
        same(sum(found, []), [prefix + name for name in LISTED], name)
    folded_in_pages(s, prefix, "list_objects_v2")


@check
def first_list_folds_in_pages(s):
    folded_in_pages(s, fill(s, "older/"), "list_objects")


def folded_in_pages(s, prefix, call):
    pages = s.s3.get_paginator(call).paginate(
        Bucket=s.bucket, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    found = [name for page in pages for name in keys_of(page) + prefixes_of(page)]
    folded = ("a", "a-b", "a.b", "a/", "b/", "c", "d e", "é/")
    same(sorted(found), sorted(prefix + name for name in folded), call)


@check
def list_nothing(s):
    page = s.s3.list_objects_v2(Bucket=s.bucket, Prefix=s.key("no such prefix"))
    same((page["KeyCount"], page["IsTruncated"], keys_of(page)), (0, False, []))


# Keys ---------------------------------------------------------------------------------------


@check
def odd_keys(s):
    names = [
        "plain", "plain/below", "sp ace", "plus+", "per%cent", "per%2Fcent", "q?u&e=r#y", "日本",
        "sla//shes", "slash/", "dots/...", "..dots/x..", "tilde~*'()", "x" * 900, "\u00a0nbsp",
    ]
    for name in names:
        s.put("odd/" + name, name.encode())
    for name in names:
        same(s.body("odd/" + name), name.encode(), name)
    pages = s.s3.get_paginator("list_objects_v2").paginate(
        Bucket=s.bucket, Prefix=s.key("odd/")
    )
    found = [key for page in pages for key in keys_of(page)]
    same(sorted(found), sorted(s.key("odd/" + name) for name in names))


@check
def key_too_long(s):
    refused(400, ("KeyTooLongError", "KeyTooLong"), s.put, "k" * 1025)


@check
def keys_that_climb(s):
    """No segment is `.` or `..`: refused by whatever takes a key, with the reason."""
    s.put("climb", b"whole")
    bad = ("InvalidArgument", "InvalidURI")
    begun = begin(s, "climb")
    for key in ("up/..", "up/../climb", "here/./climb"):
        path = "/" + s.bucket + "/" + s.prefix + key
        for method, query, body in (
            ("GET", "", b""),
            ("PUT", "", b"new"),
            ("DELETE", "", b""),
            ("POST", "?uploads=", b""),
            ("PUT", f"?partNumber=1&uploadId={begun['UploadId']}", b"new"),
            ("GET", f"?uploadId={begun['UploadId']}", b""),
            ("DELETE", f"?uploadId={begun['UploadId']}", b""),
        ):
            # What is signed is the key, however the path spells it.
            fields = s.signed(method, path + query, body=body)
            for spelt in (path, path.replace("..", "%2E%2e"), path.replace("/.", "%2F.")):
                full = spelt + query
                status, _, answer = s.send(method, full, fields, body)
                assert status == 400, (method, full, status, answer)
                assert any(code.encode() in answer for code in bad), (method, full, answer)
        status, _, _ = s.send("HEAD", path, s.signed("HEAD", path))
        same(status, 400, f"HEAD {path}")
        source = {"Bucket": s.bucket, "Key": s.prefix + key}
        refused(400, bad, s.s3.copy_object, Bucket=s.bucket, Key=s.key("copy"), CopySource=source)
        answer = s.s3.delete_objects(
            Bucket=s.bucket, Delete={"Objects": [{"Key": s.prefix + key}]}
        )
        same([error["Code"] in bad for error in answer.get("Errors", [])], [True], key)
    same(s.body("climb"), b"whole")
    s.s3.abort_multipart_upload(**begun)


@check
def traversal(s):
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd"):
        full = "/" + s.bucket + path
        status, _, body = s.send("GET", full, s.signed("GET", full))
        assert status >= 400 and b"root:" not in body, (path, status)
    try:
        s.put("../../../../../../tmp/weir-compat-escape", b"x")
    except botocore.exceptions.ClientError:
        pass
    assert not os.path.exists("/tmp/weir-compat-escape")


# Uploads in parts ---------------------------------------------------------------------------


def begin(s, name, **fields):
    answer = s.s3.create_multipart_upload(Bucket=s.bucket, Key=s.key(name), **fields)
    return {"Bucket": s.bucket, "Key": s.key(name), "UploadId": answer["UploadId"]}


def send_part(s, upload, number, data):
    etag = s.s3.upload_part(**upload, PartNumber=number, Body=data)["ETag"]
    return {"PartNumber": number, "ETag": etag}


def complete(s, upload, parts):
    return s.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@check
def multipart(s):
    first, second = noise(5 * MIB + 11, "one"), noise(300_000, "two")
    upload = begin(s, "parts", ContentType="video/mp4", Metadata={"a": "b"})
    parts = [send_part(s, upload, 1, first), send_part(s, upload, 3, second)]
    found = s.s3.list_parts(**upload)["Parts"]
    same([(p["PartNumber"], p["Size"]) for p in found], [(1, len(first)), (3, len(second))])
    refused(404, "NoSuchKey", s.get, "parts")
    whole = hashlib.md5(hashlib.md5(first).digest() + hashlib.md5(second).digest()).hexdigest()
    same(complete(s, upload, parts)["ETag"], f'"{whole}-2"')
    found = s.get("parts")
    same((found["ContentType"], found["Metadata"]), ("video/mp4", {"a": "b"}))
    same(md5(found["Body"].read()), md5(first + second))
    edge = len(first)
    same(
        s.body("parts", Range=f"bytes={edge - 10}-{edge + 9}"),
        first[-10:] + second[:10],
        "range over the seam",
    )


@check
def multipart_by_transfer_manager(s):
    data = noise(18 * MIB, "manager")
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        s.s3.upload_file(file.name, s.bucket, s.key("managed"))
    same(md5(s.body("managed")), md5(data))


@check
def multipart_abort(s):
    upload = begin(s, "aborted")
    part = send_part(s, upload, 1, b"x")
    s.s3.abort_multipart_upload(**upload)
    refused(404, "NoSuchUpload", send_part, s, upload, 1, b"x")
    refused(404, "NoSuchUpload", complete, s, upload, [part])
    refused(404, "NoSuchKey", s.get, "aborted")


@check
def multipart_refusals(s):
    upload = begin(s, "refused")
    one, two = send_part(s, upload, 1, b"small"), send_part(s, upload, 2, b"small too")
    refused(400, "InvalidPart", complete, s, upload, [{**one, "ETag": '"' + "0" * 32 + '"'}])
    # Both are true of it, and servers differ in what they look at first.
    codes = ("InvalidPartOrder", "EntityTooSmall")
    refused(400, codes, complete, s, upload, [two, one])
    refused(404, "NoSuchKey", s.get, "refused")
    s.s3.abort_multipart_upload(**upload)


@check
def part_too_small(s):
    upload = begin(s, "small")
    one, two = send_part(s, upload, 1, b"small"), send_part(s, upload, 2, b"small too")
    refused(400, "EntityTooSmall", complete, s, upload, [one, two])
    refused(404, "NoSuchKey", s.get, "small")
    s.s3.abort_multipart_upload(**upload)


# Integrity ----------------------------------------------------------------------------------


@check
def bad_digest(s):
    s.put("digest", b"sound")
    wrong = base64.b64encode(bytes(16)).decode()
    refused(400, ("BadDigest", "InvalidDigest"), s.put, "digest", b"rotten", ContentMD5=wrong)
    same(s.body("digest"), b"sound")


@check
def bad_checksum(s):
    s.put("checksum", b"sound")
    codes = ("BadDigest", "InvalidRequest", "InvalidDigest")
    refused(400, codes, s.put, "checksum", b"rotten", ChecksumCRC32="AAAAAA==")
    same(s.body("checksum"), b"sound")


@check
def checksum_behind_the_body(s):
    """How SDKs send a body whose checksum they make on the way."""
    data = noise(300_000, "chunked")
    good = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    path = s.path("chunked")
    for promised, status in ((good, 200), ("AAAAAA==", 400)):
        framed = b"".join(
            b"%x\r\n%b\r\n" % (len(piece), piece)
            for piece in (data[:1], data[1:200_000], data[200_000:])
        )
        framed += b"0\r\nx-amz-checksum-crc32:" + promised.encode() + b"\r\n\r\n"
        headers = s.signed("PUT", path, {
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(len(data)),
            "x-amz-trailer": "x-amz-checksum-crc32",
        })
        headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
        found, _, body = s.send("PUT", path, headers, framed)
        same(found, status, body)
        same(md5(s.body("chunked")), md5(data))
    assert "ContentEncoding" not in s.get("chunked")


@check
def short_upload_changes_nothing(s):
    s.put("broken", b"old")
    path = s.path("broken")
    headers = s.signed("PUT", path, body=bytes(1_000_000))
    where = urllib.parse.urlsplit(s.endpoint)
    lines = [f"PUT {path} HTTP/1.1", f"Host: {where.netloc}", "Content-Length: 1000000"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "host"]
    with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + bytes(500_000))
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        same(s.body("broken"), b"old")
        time.sleep(0.1)


# Rights -------------------------------------------------------------------------------------


@check
def presigned_get_and_put(s):
    s.put("signed", b"by url")
    status, _, body = s.follow(s.presigned("get_object", "signed"))
    same((status, body), (200, b"by url"))
    status, _, _ = s.follow(s.presigned("put_object", "signed"), "PUT", b"written by url")
    same((status, s.body("signed")), (200, b"written by url"))


@check
def presigned_expired(s):
    s.put("expires")
    url = s.presigned("get_object", "expires", seconds=1)
    same(s.follow(url)[0], 200)
    time.sleep(2.2)
    status, _, body = s.follow(url)
    assert status in (400, 403) and b"hello" not in body, (status, body)


@check
def expiry_is_named(s):
    s.put("expires")
    url = s.presigned("get_object", "expires", seconds=1)
    time.sleep(2.2)
    status, _, body = s.follow(url)
    assert status == 403 and b"AccessDenied" in body and b"expired" in body, (status, body)


@check
def presigned_tampered(s):
    s.put("mine", b"mine")
    s.put("other", b"other")
    url = s.presigned("get_object", "mine", seconds=60)
    same(s.follow(url)[0], 200)
    for what, bad in {
        "another key": url.replace("/mine?", "/other?"),
        "another method": url,
        "a longer life": url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        "an added field": url + "&response-content-type=text%2Fhtml",
        "another signature": url[:-1] + ("0" if url[-1] != "0" else "1"),
    }.items():
        method = "DELETE" if what == "another method" else "GET"
        assert bad != url or method == "DELETE", what
        same(s.follow(bad, method)[0], 403, what)
    same(s.body("mine"), b"mine")


@check
def presigned_too_long(s):
    s.put("long")
    status, _, _ = s.follow(s.presigned("get_object", "long", seconds=8 * 24 * 3600))
    assert status in (400, 403), status


@check
def wrong_secret(s):
    s.put("secret")
    stranger = s.client(s.access, s.secret[:-1] + ("a" if s.secret[-1] != "a" else "b"))
    refused(403, None, stranger.get_object, Bucket=s.bucket, Key=s.key("secret"))
    refused(403, None, stranger.put_object, Bucket=s.bucket, Key=s.key("secret"), Body=b"x")
    same(s.body("secret"), b"hello")


@check
def bad_signature_is_named(s):
    s.put("secret")
    stranger = s.client(s.access, "0" * len(s.secret))
    refused(403, "SignatureDoesNotMatch", stranger.get_object, Bucket=s.bucket, Key=s.key("secret"))


@check
def unknown_key(s):
    stranger = s.client("GK0123456789abcdef01234567", "0" * 64)
    refused(403, None, stranger.list_objects_v2, Bucket=s.bucket)


@check
def anonymous(s):
    s.put("private")
    same(s.send("GET", s.path("private"))[0], 403)
    same(s.send("PUT", s.path("private"), body=b"x")[0], 403)
    same(s.send("GET", "/" + s.bucket)[0], 403)


@check
def sealed_bucket(s):
    if not s.sealed:
        return "this server has no bucket that is closed to the key"
    refused(403, "AccessDenied", s.s3.list_objects_v2, Bucket=s.sealed)
    refused(403, "AccessDenied", s.s3.get_object, Bucket=s.sealed, Key="x")
    refused(403, "AccessDenied", s.s3.put_object, Bucket=s.sealed, Key="x", Body=b"x")
    s.put("source")
    source = {"Bucket": s.sealed, "Key": "x"}
    refused(403, "AccessDenied", s.s3.copy_object, Bucket=s.bucket, Key=s.key("c"), CopySource=source)


@check
def reader_cannot_write(s):
    if not s.reader:
        return "this server has no key that only reads"
    s.put("readable")
    reader, place = s.client(*s.reader), {"Bucket": s.bucket, "Key": s.key("readable")}
    same(reader.get_object(**place)["Body"].read(), b"hello")
    assert keys_of(reader.list_objects_v2(Bucket=s.bucket, Prefix=s.prefix))
    refused(403, "AccessDenied", reader.put_object, **place, Body=b"x")
    refused(403, "AccessDenied", reader.delete_object, **place)
    refused(403, "AccessDenied", reader.create_multipart_upload, **place)
    same(s.body("readable"), b"hello")


# Removing and copying -----------------------------------------------------------------------


@check
def delete(s):
    s.put("gone")
    for _ in range(2):
        answer = s.s3.delete_object(Bucket=s.bucket, Key=s.key("gone"))
        same(answer["ResponseMetadata"]["HTTPStatusCode"], 204)
    refused(404, "NoSuchKey", s.get, "gone")


@check
def delete_many(s):
    names = [f"many/{number}" for number in range(5)]
    for name in names:
        s.put(name)
    wanted = [{"Key": s.key(name)} for name in names + ["many/none"]]
    answer = s.s3.delete_objects(Bucket=s.bucket, Delete={"Objects": wanted})
    same(len(answer["Deleted"]), 6)
    same(keys_of(s.s3.list_objects_v2(Bucket=s.bucket, Prefix=s.key("many/"))), [])


@check
def copy(s):
    s.put("from", b"copied", ContentType="video/mp4", Metadata={"a": "b"})
    source = {"Bucket": s.bucket, "Key": s.key("from")}
    s.s3.copy_object(Bucket=s.bucket, Key=s.key("to é"), CopySource=source)
    found = s.get("to é")
    same((found["Body"].read(), found["ContentType"], found["Metadata"]),
         (b"copied", "video/mp4", {"a": "b"}))
    s.s3.copy_object(
        Bucket=s.bucket, Key=s.key("to é"), CopySource=source,
        MetadataDirective="REPLACE", ContentType="text/plain",
    )
    found = s.get("to é")
    same((found["ContentType"], found["Metadata"]), ("text/plain", {}))


@check
def buckets(s):
    s.s3.head_bucket(Bucket=s.bucket)
    assert s.bucket in [entry["Name"] for entry in s.s3.list_buckets()["Buckets"]]
    # Who has no right to a bucket need not learn whether it exists.
    refused((403, 404), None, s.s3.head_bucket, Bucket="no-such-bucket-here")


# Servers ------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Child:
    """A server started here, ended here, its output shown when it fails to come up."""

    def __init__(self, command, place, ready, refusal_is_fine=False):
        self.refusal_is_fine = refusal_is_fine
        self.log = open(place / "server.log", "w+b")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=place)
        deadline = time.monotonic() + READY_SECONDS
        while not self.answers(ready):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                self.log.seek(0)
                text = self.log.read()[-4000:].decode(errors="replace")
                raise SystemExit(f"{command[0]} does not answer at {ready}:\n{text}")
            time.sleep(0.05)

    def answers(self, url):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return True
        except urllib.error.HTTPError as error:
            return self.refusal_is_fine or error.code < 500
        except OSError:
            return False

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


def start_ours(place, origin):
    if not origin or not os.access(origin, os.X_OK):
        raise SystemExit("--server ours needs --origin, the path of the program weir-origin")
    port, admin = free_port(), free_port()
    secret, reader = secrets.token_hex(20), secrets.token_hex(20)
    (place / "writer.secret").write_text(secret)
    (place / "reader.secret").write_text(reader)
    for name in ("writer.secret", "reader.secret"):
        (place / name).chmod(0o600)
    (place / "origin.toml").write_text(f"""
[listen]
http = ["127.0.0.1:{port}"]
[admin]
listen = "127.0.0.1:{admin}"
[store]
path = "store"
buckets = ["compat", "sealed"]
region = "local"
[log]
access = "access.jsonl"
[shutdown]
deadline = "5s"
[[access_key]]
id = "writer"
secret_file = "writer.secret"
allow = "write"
buckets = ["compat"]
[[access_key]]
id = "reader"
secret_file = "reader.secret"
allow = "read"
buckets = ["compat"]
""")
    command = [os.path.abspath(origin), "serve", "--config", str(place / "origin.toml")]
    child = Child(command, place, f"http://127.0.0.1:{admin}/readyz")
    server = Server(f"http://127.0.0.1:{port}", "compat", "writer", secret, "local",
                    reader=("reader", reader), sealed="sealed")
    return child, server


def start_moto(place):
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    child = Child(command, place, f"http://127.0.0.1:{port}/")
    server = Server(f"http://127.0.0.1:{port}", "compat", "key", "secret", "us-east-1")
    server.s3.create_bucket(Bucket="compat")
    return child, server


def start_garage(place, program):
    program = shutil.which(program)
    if not program:
        raise SystemExit("--server garage needs the program `garage`, on the PATH or by --garage: "
                         "`cargo xtask s3-compat --server garage` builds it")
    api, rpc = free_port(), free_port()
    (place / "garage.toml").write_text(f"""
metadata_dir = "{place}/meta"
data_dir = "{place}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secrets.token_hex(32)}"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:{api}"
""")

    def garage(*arguments):
        command = [program, "-c", str(place / "garage.toml"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    child = Child([program, "-c", str(place / "garage.toml"), "server"], place,
                  f"http://127.0.0.1:{api}/", refusal_is_fine=True)
    try:
        node = garage("node", "id", "-q").split("@")[0].strip()
        garage("layout", "assign", "-z", "here", "-c", "1G", node)
        garage("layout", "apply", "--version", "1")
        keys = {}
        for name in ("writer", "reader"):
            keys[name] = ("GK" + secrets.token_hex(12), secrets.token_hex(32))
            garage("key", "import", "--yes", "-n", name, *keys[name])
        garage("bucket", "create", "compat")
        garage("bucket", "create", "sealed")
        garage("bucket", "allow", "--read", "--write", "compat", "--key", "writer")
        garage("bucket", "allow", "--read", "compat", "--key", "reader")
    except subprocess.CalledProcessError as error:
        child.end()
        raise SystemExit(f"{' '.join(error.cmd)}:\n{error.stderr}") from None
    server = Server(f"http://127.0.0.1:{api}", "compat", *keys["writer"], "garage",
                    reader=keys["reader"], sealed="sealed")
    return child, server


def run(server, name, only):
    passed = failed = 0
    known = KNOWN.get(name, {})
    for function in CHECKS:
        label = function.__name__
        if only and label not in only:
            continue
        begun, skipped, trouble = time.monotonic(), None, None
        try:
            skipped = function(server)
        except Exception as error:  # a check may fail in any way
            trouble = error
        took = f"{(time.monotonic() - begun) * 1000:6.0f} ms"
        if skipped:
            print(f"skip  {label:32} {took}  {skipped}")
        elif trouble is None:
            passed += 1
            unexpected = "  (known to fail here, and does not)" if label in known else ""
            print(f"pass  {label:32} {took}{unexpected}")
        elif label in known:
            print(f"known {label:32} {took}  {name} {known[label]}")
        else:
            failed += 1
            print(f"FAIL  {label:32} {took}  {trouble}")
            if not isinstance(trouble, AssertionError):
                traceback.print_exception(trouble, limit=-3, file=sys.stdout)
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed")
    return failed == 0 and passed > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--server", choices=("ours", "moto", "garage"))
    parser.add_argument("--origin", help="the program weir-origin")
    parser.add_argument("--garage", help="the program garage", default="garage")
    parser.add_argument("--endpoint", help="a server that runs already")
    parser.add_argument("--bucket", default="compat")
    parser.add_argument("--access-key")
    parser.add_argument("--secret-key")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--check", action="append", metavar="NAME", help="only this one")
    args = parser.parse_args()
    if args.endpoint:
        if not (args.access_key and args.secret_key):
            parser.error("--endpoint needs --access-key and --secret-key")
        server = Server(args.endpoint.rstrip("/"), args.bucket, args.access_key, args.secret_key,
                        args.region)
        return run(server, args.server, args.check)
    if not args.server:
        parser.error("say --server or --endpoint")
    with tempfile.TemporaryDirectory(prefix="weir-s3-") as place:
        place = pathlib.Path(place)
        if args.server == "ours":
            child, server = start_ours(place, args.origin)
        elif args.server == "garage":
            child, server = start_garage(place, args.garage)
        else:
            child, server = start_moto(place)
        try:
            good = run(server, args.server, args.check)
        finally:
            status = child.end()
        if args.server == "ours" and status != 0:
            print(f"weir-origin ended with status {status}", file=sys.stderr)
            return False
        return good


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
