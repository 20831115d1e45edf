"""Lines between coordinator and actors: whole messages, no deadlock, no strangers."""

import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from fleet.run.line import TOKEN_BYTES, Exchange, Line, dial, ready

LARGE = 6 << 20
"""Bytes, more than the buffers of a connection hold."""


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    found = Exchange("127.0.0.1")
    yield found
    found.close()


@pytest.fixture
def ends(exchange: Exchange) -> Iterator[tuple[Line, Line]]:
    host, port, token = exchange.number()
    far = dial(host, port, token)
    near = exchange.connect(token)
    yield near, far
    near.close()
    far.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[Line, Line]) -> None:
    near, far = ends
    messages = [("advance", (np.arange(n * 8).reshape(n, 8), n)) for n in (0, 1, 1000, 3)]
    for message in messages:
        near.send(message)
    for name, (rows, number) in messages:
        said, (got, also) = far.receive()
        assert (said, also) == (name, number)
        assert np.array_equal(got, rows)
        assert got.dtype == np.int64


def test_one_can_see_whether_a_message_waits(ends: tuple[Line, Line]) -> None:
    near, far = ends
    assert not far.waits()
    near.send("first")
    near.send("second")
    assert far.receive() == "first"
    assert far.waits()
    assert far.receive() == "second"
    assert not far.waits()
    near.close()
    assert far.waits(), "the news that nothing comes any more"


def test_whoever_has_something_to_say_is_heard_first(exchange: Exchange) -> None:
    numbers = [exchange.number() for _ in range(3)]
    far = [dial(*number) for number in numbers]
    near = [exchange.connect(number[2]) for number in numbers]
    far[1].send("a")
    far[1].send("b")
    assert ready(near) == [near[1]]
    assert near[1].receive() == "a"
    far[0].close()
    assert near[1] in ready(near), "what has been taken in already waits too"
    assert near[1].receive() == "b"
    assert ready(near) == [near[0]], "a dead line has news"
    far[2].send("c")
    assert ready(near) == [near[0], near[2]]
    for line in (*near, *far):
        line.close()


def test_both_ends_may_send_more_than_the_line_holds(ends: tuple[Line, Line]) -> None:
    near, far = ends
    sent = {0: bytes(LARGE), 1: b"\1" * LARGE}
    heard: list[bytes] = []

    def talk() -> None:
        """Both send first; who is through first listens, or the other would wait for ever."""
        far.send(sent[1])
        heard.append(far.receive())

    other = threading.Thread(target=talk, daemon=True)
    other.start()
    near.send(sent[0])
    assert near.receive() == sent[1]
    other.join(timeout=60)
    assert heard == [sent[0]]


def test_a_dead_line_is_an_error(ends: tuple[Line, Line]) -> None:
    near, far = ends
    far.send("last words")
    far.close()
    assert near.receive() == "last words"
    with pytest.raises(OSError, match=r"gone|reset|Broken"):
        near.receive()


def test_strangers_are_hung_up_on(exchange: Exchange) -> None:
    host, port, token = exchange.number()
    with socket.create_connection((host, port)) as stranger:
        stranger.sendall(bytes(TOKEN_BYTES))
        far = dial(host, port, token)
        near = exchange.connect(token)
        stranger.settimeout(10)
        assert stranger.recv(1) == b"", "the stranger heard nothing"
        near.send(1)
        assert far.receive() == 1
    near.close()
    far.close()


def test_actors_may_dial_in_in_any_order(exchange: Exchange) -> None:
    host, port, first = exchange.number()
    second = exchange.number()[2]
    far = [dial(host, port, second), dial(host, port, first)]
    near = [exchange.connect(first), exchange.connect(second)]
    for name, line in zip(("first", "second"), near, strict=True):
        line.send(name)
    assert [line.receive() for line in far] == ["second", "first"]
    for line in (*near, *far):
        line.close()


def test_who_is_never_connected_is_hung_up_on_at_the_end() -> None:
    exchange = Exchange("127.0.0.1")
    host, port, late = exchange.number()
    token = exchange.number()[2]
    far = [dial(host, port, late), dial(host, port, token)]
    exchange.connect(token).close()
    exchange.close()
    with pytest.raises(ConnectionResetError):
        far[0].receive()
    for line in far:
        line.close()


def test_waiting_for_a_call_ends(exchange: Exchange) -> None:
    exchange._socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        exchange.connect(exchange.number()[2])
