"""Fails after its first block: start_response must raise that very exception (clause 60), and the application lets it go (clause 61)."""

import sys
import traceback

from probe import Probe

probe = Probe()


class Found(Exception):
    pass


def fail():
    raise Found("after the first block")


def application(environ, start_response):
    headers = [("Content-Type", "text/plain")]
    if environ["QUERY_STRING"]:
        headers.append(("Content-Length", environ["QUERY_STRING"]))
    start_response("200 OK", headers)
    return blocks(start_response)


def blocks(start_response):
    try:
        yield b"first"
        probe.wait("fail")
        try:
            fail()
        except Found as found:
            exc_info = sys.exc_info()
            # What is raised again has the traceback that was handed over, also where the exception has lost its own.
            found.__traceback__ = None
            try:
                start_response("500 Too Late", [("Content-Type", "text/plain")], exc_info)
                probe.note("raised", "nothing")
            except BaseException as error:
                probe.note("raised", "the same" if error is found else repr(error))
                probe.note("frames", [frame.name for frame in traceback.extract_tb(error.__traceback__)])
                raise
        yield b"never sent"
    finally:
        probe.note("closed")
