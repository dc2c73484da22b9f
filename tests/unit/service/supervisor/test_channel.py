"""Questions and answers between two processes."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from service.supervisor.channel import Channel, ChannelClosedError

SECONDS = 60.0


async def _answer(question: str) -> Any:
    if question == "fail":
        raise ValueError("no")
    if question == "silence":
        await asyncio.sleep(SECONDS)
    return {"asked": question}


async def _pair() -> tuple[Channel, Channel, list[asyncio.Task[None]]]:
    left, right = socket.socketpair()
    one, other = Channel(_answer), Channel(_answer)
    tasks = [asyncio.create_task(one.run(left)), asyncio.create_task(other.run(right))]
    await asyncio.sleep(0.05)
    return one, other, tasks


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_both_sides_ask_at_the_same_time() -> None:
    """Each question gets its own answer, in whatever order they come."""

    async def ask() -> None:
        one, other, tasks = await _pair()
        asked = [side.ask(str(number), SECONDS) for number in range(20) for side in (one, other)]
        answers = await asyncio.gather(*asked)
        expected = [{"asked": str(number)} for number in range(20) for _ in range(2)]
        assert answers == expected
        await _end(tasks)

    asyncio.run(ask())


def test_a_question_that_fails_is_an_error_of_the_asker() -> None:
    """The reason reaches the process that asked, and the channel goes on."""

    async def ask() -> None:
        one, _, tasks = await _pair()
        with pytest.raises(ChannelClosedError, match="ValueError: no"):
            await one.ask("fail", SECONDS)
        assert await one.ask("more", SECONDS) == {"asked": "more"}
        with pytest.raises(TimeoutError):
            await one.ask("silence", 0.01)
        await _end(tasks)

    asyncio.run(ask())


def test_the_end_of_a_process_ends_all_its_questions() -> None:
    """A question to a process that ends, or has ended, does not wait for its time limit."""

    async def ask() -> None:
        one, _, tasks = await _pair()
        waiting = asyncio.create_task(one.ask("silence", SECONDS))
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        with pytest.raises(ChannelClosedError):
            await waiting
        with pytest.raises(ChannelClosedError):
            await one.ask("more", SECONDS)
        await _end(tasks)

    asyncio.run(ask())
