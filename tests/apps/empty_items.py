"""Empty blocks before, between and after those that are not (clause 80)."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"", b"", b"one", b"", b"two", b""]
