"""An application for tests of a system that has nothing left to give: it opens files, imports, and says something when it is asked to."""

import importlib
import os
import sys
import time


def application(environ, start_response):
    what, _, value = environ["PATH_INFO"].strip("/").partition("/")
    text = "here"
    if what == "body":
        text = str(len(environ["wsgi.input"].read()))
    elif what == "open":
        with open(__file__) as file:
            file.readline()
    elif what == "import":
        text = importlib.import_module(value).__name__
    elif what == "hold":
        print("held", file=environ["wsgi.errors"])
        while os.path.exists(f"/{value}"):
            time.sleep(0.01)
    elif what == "say":
        print(f"said {value}", file=environ["wsgi.errors"])
    elif what == "print":
        try:
            print(f"printed {value}", file=sys.stderr, flush=True)
        except OSError as error:
            text = error.strerror
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]
