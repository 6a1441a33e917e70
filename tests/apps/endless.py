"""Yields until it is closed."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return blocks()


def blocks():
    count = 0
    try:
        while True:
            yield b"x" * 65536
            count += 1
    except GeneratorExit:
        probe.note("left", count)
        raise
    finally:
        probe.note("closed")
