"""Returns a file through wsgi.file_wrapper, of the kind that the query names: `kind=file&offset=3&length=5&block=4096&close=no`."""

import io
import tempfile
from urllib.parse import parse_qs

from probe import Probe

probe = Probe()
CONTENT = b"".join(b"%07d\n" % number for number in range(40_000))


class Watched:
    """Nothing but read() and close(): what clause 97 demands to be enough."""

    def __init__(self, content):
        self.file = io.BytesIO(content)

    def read(self, size=-1):
        probe.note("read", size)
        return self.file.read(size)

    def close(self):
        probe.note("closed")


class Bare:
    """Nothing but read()."""

    def __init__(self, content):
        self.read = io.BytesIO(content).read


class Liar(io.BytesIO):
    """Its fileno() is another file's, as with a file of compressed data: its content is only what read() gives."""

    def __init__(self, content):
        super().__init__(content)
        self.other = tempfile.TemporaryFile()
        self.other.write(b"not this")
        self.other.flush()

    def fileno(self):
        return self.other.fileno()


class ClosingFile(io.FileIO):
    """A real file that notes that it is closed."""

    def close(self):
        if not self.closed:
            probe.note("closed")
        super().close()


def real(content, opened):
    """A file that is gone with its last user."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return opened(file.name)


KINDS = {
    "file": lambda content: real(content, lambda path: open(path, "rb")),
    "unbuffered": lambda content: real(content, lambda path: open(path, "rb", buffering=0)),
    "raw": lambda content: real(content, ClosingFile),
    "bytesio": io.BytesIO,
    "watched": Watched,
    "bare": Bare,
    "liar": Liar,
}


def application(environ, start_response):
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    content = CONTENT if "empty" not in query else b""
    file = KINDS[query["kind"]](content)
    probe.note("file", file)
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    if "offset" in query:
        file.seek(int(query["offset"]))
    if "readline" in query:
        # Leaves a part of the file in the object's own buffer: its position is not the descriptor's.
        probe.note("line", file.readline())
    start_response("200 OK", headers)
    wrapper = environ["wsgi.file_wrapper"]
    wrapped = wrapper(file, int(query["block"])) if "block" in query else wrapper(file)
    if "move" in query:
        # Clause 98: what counts is where the file stands when sending begins, not when it was wrapped.
        file.seek(int(query["move"]))
    return wrapped
