"""An old-fashioned middleware that iterates the application's blocks one by one and closes them (clauses 78 and 79)."""

from probe import Probe

probe = Probe()


def inner(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    return blocks()


def blocks():
    try:
        for block in (b"a", b"", b"b"):
            probe.note("inner", block)
            yield block
    finally:
        probe.note("closed")


class Middleware:
    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        def started(status, headers, *exc_info):
            return start_response(status, headers + [("X-Middleware", "yes")], *exc_info)

        return self.each(self.application(environ, started))

    def each(self, blocks):
        try:
            yield from blocks
        finally:
            blocks.close()


application = Middleware(inner)
