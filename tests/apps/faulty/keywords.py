"""Calls start_response by keywords, which PEP 3333 forbids applications to do."""


def application(environ, start_response):
    start_response(status="200 OK", headers=[("Content-Type", "text/plain")])
    return [b"taken"]
