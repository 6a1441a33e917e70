"""Wraps a file and returns something else: nothing of the file may be sent (clause 95)."""

import io

from probe import Probe

probe = Probe()


class File(io.BytesIO):
    def read(self, size=-1):
        probe.note("read")
        return super().read(size)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    wrapped = environ["wsgi.file_wrapper"](File(b"the file"))
    probe.note("iterable", hasattr(wrapped, "__iter__"))
    probe.note("has close", hasattr(wrapped, "close"))
    wrapped.close()
    return [b"something else"]
