"""One block of 64 KiB, as a list."""

BODY = b"x" * 65536


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "65536")])
    return [BODY]
