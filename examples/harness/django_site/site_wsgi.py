"""The application, with a database that is made when it is imported."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection

application = get_wsgi_application()

# A database in memory lasts as long as a connection to it: this one is kept open by the thread that loads the site, which does not end.
call_command("migrate", run_syncdb=True, verbosity=0)
connection.ensure_connection()


def create_users():
    from django.contrib.auth import get_user_model

    for name in ("ada", "grace", "edsger"):
        get_user_model().objects.create_user(name, password=f"{name}'s own")


create_users()
