"""An iterable that notes which of its attributes are looked at (clause 83)."""

from probe import Probe

probe = Probe()


class Watched:
    def __getattribute__(self, name):
        probe.note("attribute", name)
        return super().__getattribute__(name)

    def __iter__(self):
        yield b"watched"

    def close(self):
        probe.note("closed")


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Watched()
