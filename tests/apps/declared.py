"""Declares the length that it then yields, in two blocks."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    yield b"four"
    yield b" five"
