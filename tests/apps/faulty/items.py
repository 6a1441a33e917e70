"""Yields a good block and then what is no `bytes`, of the kind that the query names (clause 11)."""

from wsgiref.validate import validator

from probe import Probe

probe = Probe()


class Subclass(bytes):
    pass


class Secret:
    def __repr__(self):
        return "<Secret: %s>" % ("s" * 5000)


KINDS = {
    "str": "text",
    "int": 7,
    "none": None,
    "bytearray": bytearray(b"array"),
    "memoryview": memoryview(b"view"),
    "subclass": Subclass(b"subclass"),
    "list": [b"list"],
    "object": Secret(),
}


class Blocks:
    def __init__(self, items):
        self.items = iter(items)

    def __iter__(self):
        return self.items

    def close(self):
        probe.note("closed")


def application(environ, start_response):
    kind, _, where = environ["QUERY_STRING"].partition(":")
    item = KINDS[kind]
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if where == "write":
        try:
            write(item)
        except Exception as error:
            probe.note("raised", (type(error).__name__, str(error)))
            raise
    return Blocks([item] if where == "first" else [b"good", b"", item])


# For the check that the validator's complaints are seen.
validated = validator(application)
