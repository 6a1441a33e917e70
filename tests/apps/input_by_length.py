"""Reads as many bytes as CONTENT_LENGTH says and no others, as Django does (D3)."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    probe.note("length", length)
    probe.note("transfer encoding", environ.get("HTTP_TRANSFER_ENCODING", "absent"))
    body = environ["wsgi.input"].read(length)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]
