"""Reads its body only after the test has opened the gate."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    probe.note("called")
    probe.wait("read")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body]
