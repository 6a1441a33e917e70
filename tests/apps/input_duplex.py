"""Answers each line as it is read, while the request is still being sent."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])

    def answers():
        for line in environ["wsgi.input"]:
            yield line.upper()

    return answers()
