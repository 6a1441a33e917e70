"""Declares fewer bytes than it yields (clause 66): `declared:block,block,…`."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    declared, _, blocks = environ["QUERY_STRING"].partition(":")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", declared)])
    return Blocks(blocks.split(","))


class Blocks:
    def __init__(self, blocks):
        self.blocks = blocks

    def __iter__(self):
        for block in self.blocks:
            probe.note("yielded", block)
            yield block.encode()

    def close(self):
        probe.note("closed")
