"""Raises at the place that the query names."""

from probe import Probe

probe = Probe()


class Broken(Exception):
    pass


class Blocks:
    def __init__(self, *steps):
        self.steps = iter(steps)

    def __iter__(self):
        return self

    def __next__(self):
        step = next(self.steps)
        if step is None:
            probe.wait("raise")
            raise Broken("in the iteration")
        return step

    def close(self):
        probe.note("closed")


class NotIterable(Blocks):
    def __iter__(self):
        raise Broken("in __iter__")


class CloseRaises(Blocks):
    def close(self):
        probe.note("closed")
        raise Broken("in close()")


def application(environ, start_response):
    where, _, length = environ["QUERY_STRING"].partition(":")
    if where == "before":
        raise Broken("before start_response()")
    headers = [("Content-Type", "text/plain")]
    if length:
        headers.append(("Content-Length", length))
    write = start_response("200 OK", headers)
    if where == "after":
        raise Broken("after start_response()")
    if where == "written":
        write(b"first")
        probe.wait("raise")
        raise Broken("after write()")
    return {
        "iter": lambda: NotIterable(b"first"),
        "first": lambda: Blocks(None),
        "empty": lambda: Blocks(b"", None),
        "second": lambda: Blocks(b"first", None),
        "close": lambda: CloseRaises(b"first", b" second"),
        "second and close": lambda: CloseRaises(b"first", None),
    }[where.replace("%20", " ")]()
