"""An application that takes as long to import as a test wants: until there is a file `go`. It says that it has begun by a file `importing-PID`."""

import os
import signal
import time

FOLDER = os.environ["SLOW_FOLDER"]


def there(name):
    return os.path.exists(os.path.join(FOLDER, name))


with open(os.path.join(FOLDER, f"importing-{os.getpid()}"), "w"):
    pass
while not there("go"):
    time.sleep(0.01)
# An application that thinks that signals are its own.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, lambda *_: None)
signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        with open(os.path.join(FOLDER, "waiting"), "w"):
            pass
        while not there("let-go"):
            time.sleep(0.01)
    text = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
