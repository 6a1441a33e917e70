"""Puts another head in place of its first before it returns, and watches the reference to its exception (clauses 59 and 63)."""

import sys

from probe import Probe

probe = Probe()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes"), ("Content-Length", "1000")])
    try:
        raise ValueError("found out early")
    except ValueError as error:
        before = sys.getrefcount(error)
        start_response("503 Replaced", [("Content-Type", "text/html"), ("X-Second", "yes")], sys.exc_info())
        probe.note("references", (before, sys.getrefcount(error)))
    return [b"an error page"]
