"""The reader of requests by itself, without sockets."""
