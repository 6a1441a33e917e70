"""Says things in all the ways there are."""

import logging
import sys
import warnings

logging.basicConfig(format="%(levelname)s %(message)s")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    print("printed", path, file=environ["wsgi.errors"])
    logging.warning("logged %s", path)
    warnings.warn(f"warned {path}")
    print("written", path, file=sys.stderr)
    if path == "/raises":
        raise RuntimeError("as the test wants")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("HTTP_X_REQUEST_ID", "none").encode()]
