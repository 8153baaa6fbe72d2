"""Parts for the tests of third-party runners and plugins, and for our own."""
