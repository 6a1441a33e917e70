"""Notices its error after empty blocks, when the head is still unsent, and puts another in its place (clauses 57 to 59)."""

import sys

from probe import Probe

probe = Probe()


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes"), ("Content-Length", "1000")])
    write(b"")
    return blocks(start_response)


def blocks(start_response):
    yield b""
    probe.note("asked again after an empty block")
    yield b""
    try:
        raise ValueError("found out late")
    except ValueError:
        start_response("500 Replaced", [("Content-Type", "text/html"), ("X-Second", "yes")], sys.exc_info())
    yield b"an error page"
