"""A Django site with the admin, sessions and two pages of its own; what stands around it is in Rust."""
