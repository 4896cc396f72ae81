"""Ports for servers that tests start: below those that the kernel gives to outgoing connections, no two the same."""

import itertools
import os
import socket

_CLAIMS = []
_NEXT = itertools.count(20000 + os.getpid() % 9000)


def claim_ports(number):
    """Return ports that nobody listens on and that no other process of tests claims while this one lives."""
    found = []
    while len(found) < number:
        port = 20000 + next(_NEXT) % 12000
        # A name that the kernel frees with the process; between a look and the server's start others look, too.
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0batchml-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        found.append(port)
    return found
