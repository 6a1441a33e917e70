"""Calls start_response in the way that the query names, which is wrong, and notes what it raises (clauses 48 to 56)."""

from probe import Probe

probe = Probe()


class Many(list):
    pass


GOOD = [("Content-Type", "text/plain")]
CALLS = {
    "status bytes": (b"200 OK", GOOD),
    "status int": (200, GOOD),
    "status none": (None, GOOD),
    "status empty": ("", GOOD),
    "status no reason": ("200", GOOD),
    "status no space": ("200OK", GOOD),
    "status two spaces": ("200  OK", GOOD),
    "status leading space": (" 200 OK", GOOD),
    "status trailing space": ("200 OK ", GOOD),
    "status letters": ("abc OK", GOOD),
    "status short": ("20 OK", GOOD),
    "status long": ("2000 OK", GOOD),
    "status cr": ("200 OK\rX: y", GOOD),
    "status lf": ("200 OK\nX: y", GOOD),
    "status crlf": ("200 OK\r\nX: y", GOOD),
    "status nul": ("200 O\0K", GOOD),
    "status outside latin-1": ("200 \u2603", GOOD),
    "status surrogate": ("200 \ud800", GOOD),
    "status informational": ("100 Continue", GOOD),
    "headers tuple": ("200 OK", tuple(GOOD)),
    "headers dict": ("200 OK", dict(GOOD)),
    "headers none": ("200 OK", None),
    "headers list subclass": ("200 OK", Many(GOOD)),
    "headers generator": ("200 OK", (pair for pair in GOOD)),
    "header list": ("200 OK", GOOD + [["X-A", "b"]]),
    "header str": ("200 OK", GOOD + ["ab"]),
    "header one": ("200 OK", GOOD + [("X-A",)]),
    "header three": ("200 OK", GOOD + [("X-A", "b", "c")]),
    "name bytes": ("200 OK", GOOD + [(b"X-A", "b")]),
    "name empty": ("200 OK", GOOD + [("", "b")]),
    "name colon": ("200 OK", GOOD + [("X-A:", "b")]),
    "name space": ("200 OK", GOOD + [("X A", "b")]),
    "name trailing space": ("200 OK", GOOD + [("X-A ", "b")]),
    "name crlf": ("200 OK", GOOD + [("X-A\r\nX-B", "b")]),
    "name outside ascii": ("200 OK", GOOD + [("X-\u00e9", "b")]),
    "value bytes": ("200 OK", GOOD + [("X-A", b"b")]),
    "value int": ("200 OK", GOOD + [("X-A", 1)]),
    "value none": ("200 OK", GOOD + [("X-A", None)]),
    "value cr": ("200 OK", GOOD + [("X-A", "b\rc")]),
    "value lf": ("200 OK", GOOD + [("X-A", "b\nc")]),
    "value crlf": ("200 OK", GOOD + [("X-A", "b\r\nSet-Cookie: c=d")]),
    "value folded": ("200 OK", GOOD + [("X-A", "b\r\n c")]),
    "value nul": ("200 OK", GOOD + [("X-A", "b\0c")]),
    "value delete": ("200 OK", GOOD + [("X-A", "b\x7fc")]),
    "value outside latin-1": ("200 OK", GOOD + [("X-A", "\u2603")]),
    "value surrogate": ("200 OK", GOOD + [("X-A", "\udc80")]),
    "length word": ("200 OK", GOOD + [("Content-Length", "five")]),
    "length signed": ("200 OK", GOOD + [("Content-Length", "+5")]),
    "length negative": ("200 OK", GOOD + [("Content-Length", "-5")]),
    "length list": ("200 OK", GOOD + [("Content-Length", "5, 5")]),
    "length twice": ("200 OK", GOOD + [("Content-Length", "5"), ("content-length", "5")]),
    "hop connection": ("200 OK", GOOD + [("Connection", "close")]),
    "hop keep-alive": ("200 OK", GOOD + [("Keep-Alive", "timeout=5")]),
    "hop transfer-encoding": ("200 OK", GOOD + [("TRANSFER-encoding", "chunked")]),
    "hop te": ("200 OK", GOOD + [("TE", "trailers")]),
    "hop upgrade": ("200 OK", GOOD + [("Upgrade", "websocket")]),
    "hop trailers": ("200 OK", GOOD + [("Trailers", "X-A")]),
    "hop proxy-authenticate": ("200 OK", GOOD + [("Proxy-Authenticate", "Basic")]),
    "hop proxy-authorization": ("200 OK", GOOD + [("Proxy-Authorization", "Basic")]),
    "exc_info word": ("200 OK", GOOD, "error"),
    "exc_info short": ("200 OK", GOOD, (None, None)),
    "no headers": ("200 OK",),
    "four": ("200 OK", GOOD, None, None),
}


def application(environ, start_response):
    arguments = CALLS[environ["PATH_INFO"][1:]]
    try:
        start_response(*arguments)
    except Exception as error:
        probe.note("raised", (type(error).__name__, str(error)))
        raise
    probe.note("raised", ("nothing", ""))
    return [b"taken"]
