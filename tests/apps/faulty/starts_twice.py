"""Calls start_response a second time without exc_info (clause 62), after a first that went well, or that raised."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    first = "200 First" if environ["QUERY_STRING"] != "error" else "malformed"
    try:
        start_response(first, [("Content-Type", "text/plain")])
        probe.note("first", "taken")
    except Exception as error:
        probe.note("first", type(error).__name__)
    try:
        start_response("200 Second", [("Content-Type", "text/plain")])
        probe.note("second", ("taken", ""))
    except Exception as error:
        probe.note("second", (type(error).__name__, str(error)))
        raise
    return [b"taken"]
