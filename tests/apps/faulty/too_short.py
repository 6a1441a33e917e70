"""Declares 100 bytes and sends fewer (clause 67): by its iterable, by write(), in one block, or none at all."""

from probe import Probe

probe = Probe()


class Blocks(list):
    def close(self):
        probe.note("closed")


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
    how = environ["QUERY_STRING"]
    if how == "write":
        write(b"written")
        return Blocks()
    return Blocks({"one": [b"one block"], "two": [b"two ", b"blocks"], "none": []}[how])
