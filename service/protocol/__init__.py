"""HTTP/1.1 over sockets: strict parsing of requests, writing of responses, bounds on
connections.
"""
