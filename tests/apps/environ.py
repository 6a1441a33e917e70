"""Notes its environ as it is handed over, and then changes it, as PEP 3333 allows."""

import wsgiref.util

from probe import Probe

probe = Probe()


def application(environ, start_response):
    probe.note("is builtin dict", type(environ) is dict)
    probe.note("text", {name: value for name, value in environ.items() if type(value) is str})
    probe.note("types", {name: type(value).__name__ for name, value in environ.items()})
    probe.note("url", wsgiref.util.request_uri(environ))
    probe.note("wsgi.version", environ["wsgi.version"])
    probe.note("wsgi.multithread", environ["wsgi.multithread"])
    probe.note("wsgi.multiprocess", environ["wsgi.multiprocess"])
    probe.note("wsgi.run_once", environ["wsgi.run_once"])
    probe.note("wsgi.input_terminated", environ.get("wsgi.input_terminated", "absent"))
    probe.note("left behind", environ.get("tests.left_behind", "nothing"))
    environ.clear()
    environ["tests.left_behind"] = "something"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"noted"]
