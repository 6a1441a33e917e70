"""Counts its calls in a threading.local, as database connections are kept; answers with the thread and its count."""

import threading

local = threading.local()


def application(environ, start_response):
    local.count = getattr(local, "count", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{threading.get_ident()} {local.count}".encode()]
