"""Reads the whole body by read() without a size (clause 41), twice."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    probe.note("again", environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body]
