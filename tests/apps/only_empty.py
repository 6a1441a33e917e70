"""Blocks, all of them empty; none at all with `?none`."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [] if environ["QUERY_STRING"] == "none" else iter([b"", b""])
