"""What the tests ask for through a real web server. The first segment of the path chooses.

One process serves every request of a test, from several threads, so that one request can open a gate at which another waits.
"""

import os
import threading
import wsgiref.util
import zlib
from urllib.parse import parse_qs

# Nothing waits this long unless something is broken.
DEADLINE = 20

_lock = threading.Lock()
_events = {}


def event(name):
    with _lock:
        return _events.setdefault(name, threading.Event())


def name_of(environ):
    return parse_qs(environ.get("QUERY_STRING", ""))["name"][0]


def reply(start_response, text, status="200 OK", headers=()):
    body = text.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def values(start_response, values):
    """A line for each value, in the bytes that native strings stand for."""
    body = "".join(f"{name}={value}\n" for name, value in sorted(values.items())).encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class Blocks:
    """A body that says when it is closed."""

    def __init__(self, blocks, name):
        self.blocks = blocks
        self.name = name

    def __iter__(self):
        return self.blocks

    def close(self):
        self.blocks.close()
        event("closed " + self.name).set()


def environ_(environ, start_response):
    """The environ, and the URL that it makes."""
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    seen["url"] = wsgiref.util.request_uri(environ)
    seen["base"] = wsgiref.util.application_uri(environ)
    seen["pid"] = os.getpid()
    return values(start_response, seen)


def upload(environ, start_response):
    """What came as the request's body, as a checksum."""
    checksum, length = 1, 0
    declared = environ.get("CONTENT_LENGTH", "")
    left = int(declared) if declared else None
    # PEP 3333 lets an application read past the declared length only where the server says that it may.
    if left is None and not environ.get("wsgi.input_terminated"):
        left = 0
    while left is None or left > 0:
        block = environ["wsgi.input"].read(65536 if left is None else min(left, 65536))
        if not block:
            break
        checksum = zlib.adler32(block, checksum)
        length += len(block)
        if left is not None:
            left -= len(block)
    said = {
        "length": length,
        "checksum": checksum,
        "declared": declared,
        "terminated": bool(environ.get("wsgi.input_terminated")),
        "coding": environ.get("HTTP_TRANSFER_ENCODING", ""),
    }
    return values(start_response, said)


FILE = bytes(range(256)) * 4096


def file(environ, start_response):
    """A megabyte that can be had in part."""
    wanted = environ.get("HTTP_RANGE", "")
    headers = [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"), ("ETag", '"the-file"')]
    if not wanted.startswith("bytes="):
        start_response("200 OK", [*headers, ("Content-Length", str(len(FILE)))])
        return [FILE]
    first, last = wanted[len("bytes="):].split("-")
    part = FILE[int(first) : int(last) + 1]
    headers += [("Content-Range", f"bytes {first}-{last}/{len(FILE)}"), ("Content-Length", str(len(part)))]
    start_response("206 Partial Content", headers)
    return [part]


def stream(environ, start_response):
    """A second block that is not made before another request opens the gate."""

    def blocks(name):
        yield b"first\n"
        if event("open " + name).wait(DEADLINE):
            yield b"second\n"
        else:
            raise RuntimeError(f"nobody opened {name}")

    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Accel-Buffering", "no")])
    name = name_of(environ)
    return Blocks(blocks(name), name)


def endless(environ, start_response):
    """Blocks until the client has had enough."""

    def blocks():
        while True:
            yield bytes(16384)

    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("X-Accel-Buffering", "no")])
    return Blocks(blocks(), name_of(environ))


def open_(environ, start_response):
    event("open " + name_of(environ)).set()
    return reply(start_response, "opened\n")


def closed(environ, start_response):
    """Whether the body of that name was closed; waits for it."""
    happened = event("closed " + name_of(environ)).wait(DEADLINE)
    return reply(start_response, "closed\n" if happened else "not closed\n")


def cached(environ, start_response):
    if environ.get("HTTP_IF_NONE_MATCH") == '"v1"':
        start_response("304 Not Modified", [("ETag", '"v1"')])
        return []
    return reply(start_response, "fresh\n", headers=[("ETag", '"v1"')])


def upload_in_halves(environ, start_response):
    """Says when the first part of a body has come, which is as long as the query says, and then reads the rest."""
    name, half = name_of(environ), int(parse_qs(environ["QUERY_STRING"])["half"][0])
    first = environ["wsgi.input"].read(half)
    event("half " + name).set()
    try:
        second = environ["wsgi.input"].read()
    except OSError as error:
        outcomes[name] = type(error).__name__
        event("outcome " + name).set()
        raise
    outcomes[name] = f"{len(second)} bytes"
    event("outcome " + name).set()
    return reply(start_response, f"{len(first)} {len(second)} {environ.get('CONTENT_LENGTH', '')}\n")


outcomes = {}


def outcome(environ, start_response):
    """What became of the second half of the body of that name; waits for it."""
    happened = event("outcome " + name_of(environ)).wait(DEADLINE)
    return reply(start_response, (outcomes[name_of(environ)] if happened else "nothing") + "\n")


def half(environ, start_response):
    """Whether the first half of the body of that name has come; waits for it."""
    happened = event("half " + name_of(environ)).wait(DEADLINE)
    return reply(start_response, "it came\n" if happened else "it did not come\n")


def dies(environ, start_response):
    """Ends the whole server without an answer."""
    os._exit(3)


def hints(environ, start_response):
    """Early hints, where the protocol has them."""
    send = environ.get("wsgi.early_hints")
    if send:
        send([("Link", "</style.css>; rel=preload")])
    return reply(start_response, "hinted\n")


def nothing(environ, start_response):
    start_response("204 No Content", [])
    return []


def redirect(environ, start_response):
    target = parse_qs(environ["QUERY_STRING"])["to"][0]
    return reply(start_response, "elsewhere\n", "302 Found", [("Location", target)])


def cookies(environ, start_response):
    headers = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2, 3; HttpOnly"), ("Set-Cookie", "c=3; Secure")]
    return reply(start_response, "cookies\n", headers=headers)


def large_header(environ, start_response):
    return reply(start_response, environ.get("HTTP_COOKIE", ""), headers=[("X-Large", "x" * 8000)])


def odd_status(environ, start_response):
    return reply(start_response, "short and stout\n", "418 I'm a teapot")


def fails_before(environ, start_response):
    raise RuntimeError("fails before it starts a response")


def fails_in_body(environ, start_response):
    """Fails after the first block, once another request opens the gate; the length is declared or not."""
    name = name_of(environ)
    headers = [("Content-Type", "text/plain"), ("X-Accel-Buffering", "no")]
    if "declared" in environ["QUERY_STRING"]:
        headers.append(("Content-Length", "1000"))

    def blocks():
        yield b"part of it\n"
        event("open " + name).wait(DEADLINE)
        raise RuntimeError("fails in its body")

    start_response("200 OK", headers)
    return blocks()


def not_found(environ, start_response):
    return reply(start_response, "there is nothing here\n", "404 Not Found")


ROUTES = {
    "": lambda environ, start_response: reply(start_response, "the fixture\n"),
    "environ": environ_,
    "upload": upload,
    "upload-in-halves": upload_in_halves,
    "half": half,
    "outcome": outcome,
    "dies": dies,
    "file": file,
    "stream": stream,
    "endless": endless,
    "open": open_,
    "closed": closed,
    "cached": cached,
    "hints": hints,
    "nothing": nothing,
    "redirect": redirect,
    "cookies": cookies,
    "large-header": large_header,
    "odd-status": odd_status,
    "fails-before": fails_before,
    "fails-in-body": fails_in_body,
}


def application(environ, start_response):
    path = environ.get("PATH_INFO", "")
    return ROUTES.get(path.lstrip("/").split("/")[0], not_found)(environ, start_response)
