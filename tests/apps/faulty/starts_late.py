"""Yields its first block before it calls start_response (clause 65)."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    try:
        yield b"too early"
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"too late"
    finally:
        probe.note("closed")
