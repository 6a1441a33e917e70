"""Answers with the status that the query gives, with a body that is iterated and closed whatever the status is (D16)."""

from urllib.parse import unquote

from probe import Probe

probe = Probe()


class Body:
    def __iter__(self):
        probe.note("iterated")
        return iter([b"a body", b" of two blocks"])

    def close(self):
        probe.note("closed")


def application(environ, start_response):
    status = unquote(environ["QUERY_STRING"])
    headers = [] if status[:3] in ("204", "304") else [("Content-Type", "text/plain")]
    start_response(status, headers + [("X-Status", status[:3])])
    return Body()
