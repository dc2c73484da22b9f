"""HTTP/1.1 over a socket: reading requests strictly, writing responses, bounding connections."""
