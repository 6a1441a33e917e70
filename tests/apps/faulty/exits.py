"""Raises what is no Exception: SystemExit, KeyboardInterrupt, GeneratorExit; in the call, or in the iteration."""

import sys

from probe import Probe

probe = Probe()


def application(environ, start_response):
    kind, _, where = environ["QUERY_STRING"].partition(":")
    if kind == "none":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"still here"]
    if where == "call":
        leave(kind)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return blocks(kind)


def blocks(kind):
    try:
        yield b"first"
        leave(kind)
    finally:
        probe.note("closed")


def leave(kind):
    if kind == "exit":
        sys.exit(3)
    raise {"interrupt": KeyboardInterrupt, "generator": GeneratorExit, "base": BaseException}[kind]("on purpose")
