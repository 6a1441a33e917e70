"""An application that a factory makes, and that builds its links from where it is mounted."""

from html import escape
from urllib.parse import quote
from wsgiref.util import application_uri

GOODS = {"tea": "3.20", "bread": "2.80", "honey": "7.50"}


def create_app(goods=GOODS):
    def application(environ, start_response):
        name = environ["PATH_INFO"].strip("/")
        if not name:
            root = application_uri(environ).rstrip("/")
            items = "".join('<li><a href="%s/%s">%s</a></li>' % (escape(root), quote(good), escape(good)) for good in goods)
            status, text = "200 OK", "<h1>Shop</h1><ul>%s</ul>" % items
        elif name in goods:
            status, text = "200 OK", "<h1>%s</h1><p>%s</p>" % (escape(name), goods[name])
        else:
            status, text = "404 Not Found", "<h1>No such thing</h1>"
        start_response(status, [("Content-Type", "text/html; charset=utf-8")])
        return [text.encode("utf-8")]

    return application
