"""Yields a block, and goes on only after the test has opened the gate that is named like the next block."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    headers = [("Content-Type", "text/plain")]
    if environ["QUERY_STRING"]:
        headers.append(("Content-Length", environ["QUERY_STRING"]))
    start_response("200 OK", headers)
    return blocks()


def blocks():
    try:
        yield b"first"
        probe.note("asked for second")
        probe.wait("second")
        yield b"second"
        probe.note("asked for third")
        probe.wait("third")
        yield b"third"
    finally:
        probe.note("closed")
