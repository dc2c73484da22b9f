"""The HTTP side, asked over real sockets: a process of its own, tiny artifacts, no mocks."""
