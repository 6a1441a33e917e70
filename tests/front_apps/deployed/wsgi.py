"""The application alone: its static files are the web server's."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "deployed.settings")

application = get_wsgi_application()
