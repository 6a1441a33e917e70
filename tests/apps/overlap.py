"""Notes how many of its calls run at once; each waits until the test lets it go."""

import threading

from probe import Probe

probe = Probe()
lock = threading.Lock()
inside = 0


def application(environ, start_response):
    global inside
    with lock:
        inside += 1
        probe.note("inside", inside)
    probe.wait(environ["PATH_INFO"])
    with lock:
        inside -= 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"went"]
