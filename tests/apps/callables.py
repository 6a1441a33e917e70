"""Every kind of callable that can be an application."""

import functools


class ClassApplication:
    """Instantiating it is calling it; the instance is the iterable."""

    def __init__(self, environ, start_response):
        self.start_response = start_response

    def __iter__(self):
        # Clause 64: the first step of the iteration may be what calls start_response.
        self.start_response("200 OK", [("Content-Type", "text/plain"), ("X-Kind", "class")])
        yield b"class"


class Instance:
    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Kind", "instance")])
        return [b"instance"]

    def method(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Kind", "method")])
        return [b"method"]


class Opaque:
    """Has nothing but __call__: looking at anything else is an error."""

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Kind", "opaque")])
        return [b"opaque"]

    def __getattr__(self, name):
        raise RuntimeError(f"the server looked at {name}")


def _with_extra(extra, environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Kind", extra)])
    return [b"partial"]


instance = Instance()
method = instance.method
partial = functools.partial(_with_extra, "partial")
opaque = Opaque()
lambda_ = lambda environ, start_response: (start_response("200 OK", [("Content-Type", "text/plain"), ("X-Kind", "lambda")]), [b"lambda"])[1]  # noqa: E731
application = ClassApplication
