"""Declares more bytes than its file holds; or the file ends early because another truncated it."""

import tempfile

from probe import Probe

probe = Probe()


def application(environ, start_response):
    file = tempfile.TemporaryFile(buffering=0)
    file.write(b"0123456789")
    file.seek(0)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", "20")])
    return environ["wsgi.file_wrapper"](file)
