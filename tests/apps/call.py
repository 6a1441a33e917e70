"""Notes how it is called."""

from probe import Probe

probe = Probe()


def application(*arguments, **keywords):
    probe.note("arguments", len(arguments))
    probe.note("keywords", list(keywords))
    _, start_response = arguments
    write = start_response("200 OK", [("Content-Type", "text/plain")], None)
    probe.note("write is callable", callable(write))
    return [b"called"]
