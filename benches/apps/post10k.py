"""Reads the whole body in one call and answers how long it was."""


def application(environ, start_response):
    read = len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    body = b"%d\n" % read
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
