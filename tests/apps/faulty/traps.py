"""Swallows what start_response raises, and goes on as if nothing had happened (clause 61)."""

import sys

from probe import Probe

probe = Probe()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    try:
        raise ValueError("noticed late")
    except ValueError:
        try:
            start_response("500 Too Late", [("Content-Type", "text/plain")], sys.exc_info())
        except ValueError:
            probe.note("trapped")
    yield b" second"
