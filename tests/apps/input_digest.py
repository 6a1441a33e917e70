"""Reads its body in blocks of 64 KiB and answers with its length and digest."""

import hashlib


def application(environ, start_response):
    digest, length = hashlib.sha256(), 0
    while block := environ["wsgi.input"].read(65536):
        assert len(block) <= 65536
        digest.update(block)
        length += len(block)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{length} {digest.hexdigest()}".encode()]
