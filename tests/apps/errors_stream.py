"""Uses wsgi.errors in every way that PEP 3333 names."""

from probe import Probe

probe = Probe()


def application(environ, start_response):
    errors = environ["wsgi.errors"]
    errors.write("one line\n")
    errors.write("half a ")
    errors.writelines(["line\n", "third line\n"])
    errors.write("sn\u00f6w \u2603 \U0001f600 and a lone \ud800 surrogate\n")
    errors.flush()
    print("printed", file=errors)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"written"]
