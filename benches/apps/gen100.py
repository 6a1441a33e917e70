"""A generator of blocks without a Content-Length, each of which PEP 3333 wants sent before the next is asked for.

`/` yields 100 blocks of 1 KiB. `/slow` waits between its two blocks, so that a client can see whether the first is held back.
"""

import time

BLOCK = b"x" * 1024


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return slow() if environ["PATH_INFO"] == "/slow" else blocks()


def blocks():
    for _ in range(100):
        yield BLOCK


def slow():
    yield BLOCK
    time.sleep(0.5)
    yield BLOCK
