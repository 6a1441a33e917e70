"""Returns what is no iterable of bytes, of the kind that the query names (clause 10)."""

KINDS = {"none": None, "int": 5, "str": "text", "bytes": b"bytes", "dict": {"a": 1}}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return KINDS[environ["QUERY_STRING"]]
