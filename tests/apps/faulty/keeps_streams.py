"""Keeps wsgi.input and write() beyond its own request and uses them during the next."""

from probe import Probe

probe = Probe()
kept = []


def application(environ, start_response):
    for name, use in kept:
        try:
            probe.note(name, repr(use()))
        except Exception as error:
            probe.note(name, type(error).__name__)
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    body = environ["wsgi.input"]
    kept[:] = [("read", lambda: body.read(10)), ("write", lambda: write(b"stolen")), ("start", lambda: start_response("200 Stolen", []))]
    return [b"own"]
