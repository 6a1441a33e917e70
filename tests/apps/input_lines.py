"""Notes each line of the body as it comes."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    for line in environ["wsgi.input"]:
        probe.note("line", line)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all lines"]
