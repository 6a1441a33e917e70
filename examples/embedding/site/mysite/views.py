"""The pages."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse


def home(request):
    return HttpResponse("Hello from Django\n", content_type="text/plain; charset=utf-8")


def whoami(request):
    """The name of whoever's session it is. Harmless to be asked by anybody: it tells nobody more than they know."""
    if not request.user.is_authenticated:
        return HttpResponse("nobody\n", status=401, content_type="text/plain; charset=utf-8")
    return HttpResponse(request.user.get_username(), content_type="text/plain; charset=utf-8")


@login_required
def report(request, name):
    return HttpResponse(f"report {name} for {request.user.get_username()}\n", content_type="text/plain; charset=utf-8")
