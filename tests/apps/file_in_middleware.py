"""A middleware around an application that returns a file: what the server gets is no longer its own wrapper (clause 100)."""

import io

from probe import Probe

probe = Probe()


class File(io.BytesIO):
    def close(self):
        probe.note("closed")
        super().close()


def inner(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](File(b"shouted " * 3), 8)


class Upper:
    def __init__(self, inner):
        self.inner = inner

    def __iter__(self):
        for block in self.inner:
            yield block.upper()

    def close(self):
        self.inner.close()


def application(environ, start_response):
    return Upper(inner(environ, start_response))
