"""The site of the framework tests (`tests/frameworks/django_project`), set up as it would be behind a web server."""

import os

from site_under_test.settings import *  # noqa: F403

ALLOWED_HOSTS = ["site.example"]
ROOT_URLCONF = "deployed.urls"
WSGI_APPLICATION = "deployed.wsgi.application"
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("SITE_STATIC")

# Only where the web server speaks HTTP to this application, and sets this field itself. Over the other protocols it comes from the client.
if "SITE_BEHIND_HTTP" in os.environ:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
