"""The least application: one block, whose length the server may derive."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    probe.note("called", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, world!\n"]
