//! What a Django site is asked through a web server.
