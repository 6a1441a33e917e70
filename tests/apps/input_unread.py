"""Answers without a look at its body."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    probe.note("called")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"not read"]
