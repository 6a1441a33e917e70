"""Writes, and returns an iterable that adds to what was written (clauses 47, 84 and 85)."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    probe.note("returned", write(b"one "))
    write(b"")
    write(b"two ")
    return [b"three"]
