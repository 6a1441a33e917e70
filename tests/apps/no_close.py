"""An iterable without close(), and one that is an iterator only by __getitem__."""


class BySubscript:
    def __getitem__(self, index):
        return [b"by ", b"subscript"][index]


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return BySubscript()
