"""Computes for about a millisecond, and lets no other thread of its process run meanwhile."""


def spin():
    total = 0
    for number in range(50_000):
        total += number
    return total


def application(environ, start_response):
    body = b"%d\n" % spin()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
