"""Answers with the status that the query gives, one block and its Content-Length, also where HTTP forbids the one or the other."""

from urllib.parse import unquote


def application(environ, start_response):
    status = unquote(environ["QUERY_STRING"])
    headers = [] if status[:3] in ("204", "304") else [("Content-Type", "text/plain")]
    start_response(status, headers + [("Content-Length", "11")])
    return [b"eleven byte"]
