"""A Falcon application: media, bounded streams, generators, a sink."""

import falcon


class Things:
    def on_get(self, request, response, number):
        response.media = {"number": number, "query": request.get_param("q")}

    def on_post(self, request, response, number):
        response.status = falcon.HTTP_201
        response.media = {"got": request.get_media()}


class Body:
    def on_put(self, request, response):
        response.content_type = falcon.MEDIA_TEXT
        response.text = str(len(request.bounded_stream.read()))


class Stream:
    def on_get(self, request, response):
        response.content_type = falcon.MEDIA_TEXT
        response.stream = (f"{number} ".encode() for number in range(1000))


class Nothing:
    def on_delete(self, request, response):
        response.status = falcon.HTTP_204


application = falcon.App()
application.add_route("/things/{number:int}", Things())
application.add_route("/body", Body())
application.add_route("/stream", Stream())
application.add_route("/nothing", Nothing())
