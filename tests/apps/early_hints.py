"""Sends 103 Early Hints before its answer, once more after the head is out, and tries some that cannot be sent (D12)."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    hint = environ["wsgi.early_hints"]
    hint([("Link", "</style.css>; rel=preload; as=style"), ("Link", "</script.js>; rel=preload")])
    probe.wait("answer")
    for headers in ([("X-Bad", "split\r\nSet-Cookie: a=b")], [("Bad Name", "x")], [("X", 1)], [("Connection", "close")]):
        try:
            hint(headers)
            probe.note("taken", repr(headers))
        except (ValueError, TypeError) as error:
            probe.note("refused", f"{type(error).__name__}: {error}")
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    hint([("Link", "</late.css>; rel=preload")])
    yield b" second"
