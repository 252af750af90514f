"""The process that serves beside the one that works, which alone starts it (``serving``)."""

from __future__ import annotations

import logging
import signal
import socket
import sys

from koppel.jobs.log import log_to_terminal
from koppel.web.serving import serve

if __name__ == "__main__":
    # Ctrl-C and a service manager reach both processes; the one that works ends this one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger().addHandler(logging.NullHandler())
    log_to_terminal()
    serve(socket.socket(fileno=int(sys.argv[1])), sys.stdin.buffer)
