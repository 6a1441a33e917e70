"""Does to wsgi.input what the query string says, a step per pair, such as `read=5&readline=&readlines=10&iterate=`, and notes each result."""

from urllib.parse import parse_qsl

from probe import Probe

probe = Probe()


def application(environ, start_response):
    body = environ["wsgi.input"]
    for step, size in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True):
        try:
            if step == "iterate":
                result = list(body)
            elif step == "next":
                result = next(iter(body), b"")
            else:
                result = getattr(body, step)(*([int(size)] if size else []))
        except Exception as error:
            probe.note("raised", (step, isinstance(error, OSError), f"{type(error).__name__}: {error}"))
            raise
        pieces = result if isinstance(result, list) else [result]
        probe.note("exact", all(type(piece) is bytes for piece in pieces))
        probe.note("pieces", pieces)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"read"]
