"""An application for tests that see it only from outside its process: requests wait for each other, and its end leaves a file."""

import atexit
import os
import threading

go = threading.Event()


@atexit.register
def leave_a_mark():
    if "PROCESS_MARK" in os.environ:
        with open(os.environ["PROCESS_MARK"], "w") as mark:
            mark.write("atexit ran")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise RuntimeError("the application fails")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/wait":
        return waiting()
    if path == "/go":
        go.set()
    return [f"{environ['SCRIPT_NAME']}|{path}".encode()]


def waiting():
    yield b"waiting "
    yield b"and gone on" if go.wait(20) else b"in vain"
