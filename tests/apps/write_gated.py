"""Writes a block, and goes on only after the client has seen it (clauses 76 and 84)."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"first")
    probe.wait("second")
    write(b"second")
    probe.wait("third")
    return iter([b"third"])
