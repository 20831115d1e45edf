"""A line between the coordinator and one actor: pickled messages over TCP, in order.

Ray starts actors, watches over them and hands them the world; the windows themselves go over a
line of their own, because a call of an actor's method costs more than most windows do (Ray 2.60 on
two cores, two actors: 1.8 ms of CPU time a window, half of it the coordinator's; a line: 0.09 ms
of the coordinator's, 0.2 ms from the orders to both answers). The coordinator listens, an actor
dials with a token that only Ray has told it.
"""

import contextlib
import hmac
import pickle
import secrets
import select
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any

TOKEN_BYTES = 32
DIAL_S = 10.0
"""Longest wait for a connection and for a token."""
RING_S = 1.0
"""Longest wait of one ``Exchange.connect``."""
CHUNK = 1 << 16
"""Bytes taken in at once: a buffer of more is asked of the system, and given back, each time."""
_LENGTH = struct.Struct("<Q")


class Line:
    """One end of a line.

    Sending never waits for the other side to listen while that waits for us: what comes in
    meanwhile is taken in.
    """

    def __init__(self, link: socket.socket) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        link.setblocking(True)
        self._link = link
        self._buffer = bytearray()
        self._messages: deque[Any] = deque()

    def send(self, message: object) -> None:
        """Send a message (OSError when the line is dead)."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        rest = memoryview(_LENGTH.pack(len(data)) + data)
        while rest:
            try:
                rest = rest[self._link.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:  # rare: messages are small, so the system is asked only then
                if select.select([self._link], [self._link], [])[0]:
                    self._take_in()

    def receive(self) -> Any:
        """Wait for the next message (OSError when the line is dead)."""
        while not self._messages:
            self._take_in()
        return self._messages.popleft()

    def waits(self) -> bool:
        """Whether ``receive`` would have something to do at once."""
        return bool(self._messages or select.select([self._link], [], [], 0)[0])

    def fileno(self) -> int:
        """Return the descriptor to wait for (``ready``)."""
        return self._link.fileno()

    def _take_in(self) -> None:
        """Read what is there, at least a byte, and unpack what is complete."""
        chunk = self._link.recv(CHUNK)
        if not chunk:
            raise ConnectionResetError("the other side is gone")
        buffer = self._buffer
        buffer += chunk
        while len(buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
            if len(buffer) < end:
                return
            self._messages.append(pickle.loads(memoryview(buffer)[_LENGTH.size : end]))
            del buffer[:end]

    def close(self) -> None:
        """Hang up."""
        self._link.close()


def ready(lines: Sequence[Line]) -> list[Line]:
    """Wait until something waits on one of some lines; return those."""
    found = [line for line in lines if line.waits()]
    return found or select.select(lines, [], [])[0]


class Exchange:
    """Where actors dial in, in any order.

    Parameters
    ----------
    host : str
        Address of this machine that actors can reach.
    """

    def __init__(self, host: str) -> None:
        self._socket = socket.create_server((host, 0))
        self._socket.settimeout(RING_S)
        self._lines: dict[bytes, Line | None] = {}
        """By the tokens of actors that have not been connected yet."""

    def number(self) -> tuple[str, int, bytes]:
        """Return what an actor needs to ``dial``: host, port, a token of its own."""
        host, port = self._socket.getsockname()[:2]
        token = secrets.token_bytes(TOKEN_BYTES)
        self._lines[token] = None
        return host, port, token

    def connect(self, token: bytes) -> Line:
        """Wait a while for the actor with a token (TimeoutError: try again).

        Other actors that dial in meanwhile are kept waiting, strangers are hung up on.
        """
        while (line := self._lines[token]) is None:
            link, _ = self._socket.accept()
            link.settimeout(DIAL_S)
            said = _token(link)
            known = [own for own in self._lines if hmac.compare_digest(said, own)]
            if known:
                self._lines[known[0]] = Line(link)
            else:
                link.close()
        del self._lines[token]
        return line

    def close(self) -> None:
        """Take no more calls."""
        self._socket.close()
        for line in self._lines.values():
            if line is not None:
                line.close()


def _token(link: socket.socket) -> bytes:
    """Read a token; less when the other side hangs up or falls silent."""
    said = b""
    with contextlib.suppress(TimeoutError):
        while len(said) < TOKEN_BYTES and (chunk := link.recv(TOKEN_BYTES - len(said))):
            said += chunk
    return said


def dial(host: str, port: int, token: bytes) -> Line:
    """Call the coordinator (OSError when it does not answer)."""
    link = socket.create_connection((host, port), DIAL_S)
    link.sendall(token)
    return Line(link)
