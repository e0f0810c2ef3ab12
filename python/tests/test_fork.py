"""Processes that are forked after a client was made and used: gunicorn --preload, Celery, multiprocessing."""

import asyncio
import contextlib
import json
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from chatsdk import AsyncChatSDKServer, ChatSDKServer, InvalidInputError, generate_chatsdk_token
from clients import ISSUER

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")


def child(work: Callable[[], Any]) -> tuple[int, int]:
    """Run ``work`` in a forked process, which tells what it returned through a pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            told = json.dumps(work())
        except BaseException:  # noqa: BLE001 - this process ends here, whatever happens
            told = json.dumps(traceback.format_exc())
        with contextlib.suppress(OSError), os.fdopen(writing, "w") as pipe:
            pipe.write(told)
        os._exit(0)
    os.close(writing)
    return pid, reading


def told(forked: tuple[int, int]) -> Any:
    pid, reading = forked
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def minted(mint: Callable[[str], Any], name: str) -> list[str]:
    """Mint 30 times, and tell whose tokens came where they were of somebody else."""
    ids = (f"{name}-{count}" for count in range(30))
    return [f"asked for {each}, got {got}" for each in ids if (got := mint(each)["user"]["id"]) != each]


def test_children_share_no_connection_of_the_threads_client(server: Any) -> None:
    with ChatSDKServer(server.api, server.key) as chat:
        chat.generate_token("warm-up")
        # In four processes and in this one at once: the replies of all would mix.
        children = [child(lambda name=f"child-{k}": minted(chat.generate_token, name)) for k in range(4)]  # type: ignore[misc]
        assert minted(chat.generate_token, "parent") == []
        assert [told(each) for each in children] == [[]] * 4
        # What the children did has ended nothing here.
        assert chat.generate_token("after")["user"]["id"] == "after"


def test_children_share_no_connection_of_the_loop_client(server: Any) -> None:
    chat = AsyncChatSDKServer(server.api, server.key)
    parent = asyncio.new_event_loop()

    def run(name: str) -> list[str]:
        # The parent's loop is of no use here: it waits for what the parent waits for.
        loop = asyncio.new_event_loop()
        return minted(lambda user: loop.run_until_complete(chat.generate_token(user)), name)

    parent.run_until_complete(chat.generate_token("warm-up"))
    children = [child(lambda name=f"child-{k}": run(name)) for k in range(4)]  # type: ignore[misc]
    assert minted(lambda user: parent.run_until_complete(chat.generate_token(user)), "parent") == []
    assert [told(each) for each in children] == [[]] * 4
    parent.run_until_complete(chat.aclose())
    parent.close()


def test_children_share_no_connection_of_the_one_liner(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSDK_API_URL", server.api)
    monkeypatch.setenv("CHATSDK_API_KEY", server.key)
    generate_chatsdk_token("warm-up")
    children = [child(lambda name=f"child-{k}": minted(generate_chatsdk_token, name)) for k in range(4)]  # type: ignore[misc]
    assert [told(each) for each in children] == [[]] * 4


def test_a_lock_that_was_held_at_the_fork_holds_no_child(server: Any) -> None:
    with ChatSDKServer(server.api, server.key, issuer=ISSUER) as chat:
        token = server.mint(userId="ann")["accessToken"]
        with chat._own.get().fetching:
            assert told(child(lambda: chat.verify_token(token).user_id)) == "ann"


def test_a_child_that_closes_leaves_the_parent_its_connections(server: Any) -> None:
    with ChatSDKServer(server.api, server.key) as chat:
        chat.generate_token("ann")

        def close() -> bool:
            chat.close()
            return chat._own.get().http.is_closed

        assert told(child(close)) is False
        assert chat.generate_token("ann")["user"]["id"] == "ann"


@pytest.fixture
def yours() -> Iterator[httpx.Client]:
    with httpx.Client() as http:
        yield http


def test_your_own_http_client_is_not_used_after_a_fork(server: Any, yours: httpx.Client) -> None:
    chat = ChatSDKServer(server.api, server.key, http=yours)
    chat.generate_token("ann")

    def mint() -> str:
        try:
            chat.generate_token("bob")
        except InvalidInputError as error:
            return f"{error.field}: {error}"
        return "minted"

    assert told(child(mint)).startswith("http: This process was forked")
    assert chat.generate_token("ann")["user"]["id"] == "ann"
