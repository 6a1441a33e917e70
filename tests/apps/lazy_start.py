"""A generator: start_response is called by the first step of the iteration, not before (clause 64)."""


def application(environ, start_response):
    start_response("203 Lazily", [("Content-Type", "text/plain"), ("X-Lazy", "yes")])
    yield b"lazy"
    yield b" block"
