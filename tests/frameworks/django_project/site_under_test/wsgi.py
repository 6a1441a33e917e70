"""The application, with Django's own handler for static files before it."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_under_test.settings")

application = StaticFilesHandler(get_wsgi_application())
