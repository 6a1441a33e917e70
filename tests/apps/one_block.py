"""One block in a container whose length is 1, of the kind that the query names (clauses 12 and 69)."""


class Sized:
    def __len__(self):
        return 1

    def __iter__(self):
        return iter([b"twelve bytes"])


KINDS = {
    "list": lambda: [b"twelve bytes"],
    "tuple": lambda: (b"twelve bytes",),
    "sized": Sized,
    "iterator": lambda: iter([b"twelve bytes"]),
    "two": lambda: [b"twelve ", b"bytes"],
}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return KINDS[environ["QUERY_STRING"]]()
