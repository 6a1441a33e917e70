"""A Pyramid application: renderers, file responses, iterators with close."""

from pyramid.config import Configurator
from pyramid.response import FileResponse, Response

closed = 0


class Blocks:
    def __iter__(self):
        return iter([b"one ", b"two"])

    def close(self):
        global closed
        closed += 1


def hello(request):
    return {"name": request.matchdict["name"], "url": request.url}


def post(request):
    return {"length": len(request.body), "text": request.params["text"]}


with Configurator() as config:
    config.add_route("hello", "/hello/{name}")
    config.add_view(hello, route_name="hello", renderer="json")
    config.add_route("post", "/post")
    config.add_view(post, route_name="post", renderer="json", request_method="POST")
    config.add_route("file", "/file")
    config.add_view(lambda request: FileResponse(__file__, request=request, content_type="text/x-python"), route_name="file")
    config.add_route("blocks", "/blocks")
    config.add_view(lambda request: Response(app_iter=Blocks(), content_type="text/plain"), route_name="blocks")
    config.add_route("closed", "/closed")
    config.add_view(lambda request: Response(str(closed), content_type="text/plain"), route_name="closed")
    application = config.make_wsgi_app()
