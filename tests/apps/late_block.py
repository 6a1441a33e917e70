"""Takes long for its first block: until the test opens the gate `first`."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return blocks()


def blocks():
    try:
        probe.note("asked for first")
        probe.wait("first")
        yield b"first"
        probe.note("asked for second")
        yield b"second"
    finally:
        probe.note("closed")
