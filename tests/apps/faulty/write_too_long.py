"""Writes past its declared length (clause 66)."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    write(b"four")
    try:
        write(b"and more")
        probe.note("raised", ("nothing", ""))
    except Exception as error:
        probe.note("raised", (type(error).__name__, str(error)))
        raise
    return []
