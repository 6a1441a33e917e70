"""A Django site with what real sites have: the admin, sessions, forms, uploads, streams, files and static files."""
