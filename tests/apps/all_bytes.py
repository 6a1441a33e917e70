"""Every byte there is, which nothing may change (clause 77)."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [bytes(range(256)), b"\r\n\n\r0\r\n\r\n", bytes(range(255, -1, -1))]
