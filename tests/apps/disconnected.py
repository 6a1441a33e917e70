"""Works long and looks from time to time whether its client is still there (D18)."""

import time

from probe import Probe

probe = Probe()


def application(environ, start_response):
    gone = environ.get("waitress.client_disconnected")
    probe.note("offered", gone is not None)
    probe.note("at first", gone())
    end = time.monotonic() + 20
    while not gone():
        # What stands for the work: the look is meant to be cheap, not to be the work itself.
        time.sleep(0.01)
        if time.monotonic() > end:
            probe.note("noticed", False)
            break
    else:
        probe.note("noticed", True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"too late"]
