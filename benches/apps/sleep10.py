"""Waits 10 ms, as for a database: how well threads overlap."""

import time


def application(environ, start_response):
    time.sleep(0.01)
    body = b"slept\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
