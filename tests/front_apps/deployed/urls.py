from django.http import HttpResponse
from django.urls import path
from site_under_test.urls import urlpatterns as pages


def client(request):
    """Who asks, as Django sees it."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    seen = {
        "remote": request.META["REMOTE_ADDR"],
        "forwarded": forwarded,
        "secure": request.is_secure(),
        "url": request.build_absolute_uri(),
        "script": request.META.get("SCRIPT_NAME"),
    }
    return HttpResponse("".join(f"{name}={value}\n" for name, value in seen.items()), content_type="text/plain")


urlpatterns = [path("client/", client), *pages]
