"""An application for tests of several processes: it says which process answers, and can be told to fail in many ways."""

import atexit
import os
import subprocess
import threading
import time

FOLDER = os.environ.get("PROCESSES_FOLDER", "/nonexistent")


def content(name, default):
    try:
        with open(os.path.join(FOLDER, name)) as file:
            return file.read().strip()
    except OSError:
        return default


# To hold up an import for as long as this file is there.
while os.path.exists(os.path.join(FOLDER, "hold")):
    time.sleep(0.01)

VERSION = content("version", "1")
if VERSION == "broken":
    raise RuntimeError("this version cannot be imported")

lock = threading.Lock()
begun = 0
kept = []


@atexit.register
def leave_a_mark():
    if os.path.isdir(FOLDER):
        with open(os.path.join(FOLDER, f"ended-{os.getpid()}"), "w") as mark:
            mark.write(str(begun))


def application(environ, start_response):
    global begun
    with lock:
        begun += 1
    if environ["REQUEST_METHOD"] == "POST":
        # Written before anything is done for it, so that it is known of what was begun and never answered.
        with open(os.path.join(FOLDER, f"orders-{os.getpid()}"), "a") as orders:
            orders.write(environ["wsgi.input"].read().decode() + "\n")
    what, _, value = environ["PATH_INFO"].strip("/").partition("/")
    text = str(os.getpid())
    if what == "sleep":
        time.sleep(int(value) / 1000)
    elif what == "held":
        with open(os.path.join(FOLDER, "begun"), "w"):
            pass
        while os.path.exists(os.path.join(FOLDER, "held")):
            time.sleep(0.01)
    elif what == "wait-for":
        while not os.path.exists(os.path.join(FOLDER, value)):
            time.sleep(0.01)
    elif what == "version":
        text = VERSION
    elif what == "multiprocess":
        text = str(environ["wsgi.multiprocess"])
    elif what == "crash":
        os.kill(os.getpid(), 9)
    elif what == "grow":
        kept.append(bytearray(b"x" * (int(value) << 20)))
    elif what == "orphan":
        # The shell ends at once, and its child is left behind.
        text = subprocess.run(["sh", "-c", "sh -c 'read line' >&- 2>&- & echo $!"], stdout=subprocess.PIPE, text=True).stdout.strip()
    elif what == "exists":
        text = str(os.path.exists(f"/proc/{value}"))
    elif what == "stdin":
        text = os.readlink("/proc/self/fd/0")
    elif what == "child":
        # What a child has from us, as far as it is not closed on purpose.
        text = subprocess.run(["sh", "-c", os.environ["INHERITED"]], stdout=subprocess.PIPE, close_fds=False, text=True).stdout
    elif what == "status":
        with open("/proc/self/status") as status:
            text = status.read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]
