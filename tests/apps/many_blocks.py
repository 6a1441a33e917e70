"""As many blocks of as many bytes as the query says: `count=3&size=5`. Its iterable can be closed and says how far it got."""

from urllib.parse import parse_qs

from probe import Probe

probe = Probe()


class Blocks:
    def __init__(self, count, size):
        self.left = count
        self.block = b"x" * size
        self.yielded = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        self.yielded += 1
        return self.block

    def close(self):
        probe.note("yielded", self.yielded)
        probe.note("closed")


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    count, size = int(query["count"][0]), int(query["size"][0])
    headers = [("Content-Type", "application/octet-stream")]
    if "declare" in query:
        headers.append(("Content-Length", str(count * size)))
    start_response("200 OK", headers)
    return Blocks(count, size)
