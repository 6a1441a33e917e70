"""Calls write() from within its iterable, which clause 86 forbids applications to do."""


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"one "
    write(b"two ")
    yield b"three"
