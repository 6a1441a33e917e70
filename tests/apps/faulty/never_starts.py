"""Never calls start_response (clause 65): with `?nothing` it yields nothing, otherwise a block."""

from probe import Probe

probe = Probe()


class Blocks(list):
    def close(self):
        probe.note("closed")


def application(environ, start_response):
    return Blocks([] if environ["QUERY_STRING"] == "nothing" else [b"block"])
