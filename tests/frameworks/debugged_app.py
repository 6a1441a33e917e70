"""An application under Werkzeug's debugger, which is a generator and calls start_response when it finds an error."""

from werkzeug.debug import DebuggedApplication


def fails(environ, start_response):
    if environ["PATH_INFO"] == "/before":
        raise RuntimeError("fails before its head")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return blocks(environ["PATH_INFO"])


def blocks(path):
    yield b"first"
    if path == "/after":
        raise RuntimeError("fails after its first block")
    yield b" second"


application = DebuggedApplication(fails)
