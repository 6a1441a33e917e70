"""Large bodies, never held whole: `/up` reads one, `/down` generates one, `/file` hands over the file that BULK_FILE names.

`/down?BYTES` says how much. Blocks are 64 KiB.
"""

import os

BLOCK = 64 * 1024


def application(environ, start_response):
    return {"/up": up, "/down": down, "/file": file}[environ["PATH_INFO"]](environ, start_response)


def up(environ, start_response):
    total = 0
    while block := environ["wsgi.input"].read(BLOCK):
        total += len(block)
    body = b"%d\n" % total
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def down(environ, start_response):
    total = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(total))])
    block = b"x" * BLOCK
    return (block for _ in range(total // BLOCK))


def file(environ, start_response):
    path = os.environ["BULK_FILE"]
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(os.path.getsize(path)))])
    return environ["wsgi.file_wrapper"](open(path, "rb"), BLOCK)
