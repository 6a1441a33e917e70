"""The application that is being replaced: prices and stock of a shop, as plain WSGI."""

from urllib.parse import parse_qs

PRICES = {"apple": 30, "pear": 45}
STOCK = {"apple": 12, "pear": 0}


def application(environ, start_response):
    item = parse_qs(environ["QUERY_STRING"]).get("item", [""])[0]
    table = {"/price": PRICES, "/stock": STOCK}.get(environ["PATH_INFO"])
    if table is None or item not in table:
        return answer(start_response, "404 Not Found", "no such item\n")
    if environ["REQUEST_METHOD"] == "POST":
        table[item] = int(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    return answer(start_response, "200 OK", f"{table[item]}\n")


def answer(start_response, status, text):
    body = text.encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
