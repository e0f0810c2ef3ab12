"""The stock Python client against the engine's example server, in both encodings."""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path

import httpx
import jwt
import pytest
from centrifuge import Client, ClientEventHandler, DeltaType, StreamPosition, SubscriptionEventHandler

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("PUBSUB_BIN", str(ROOT / "target/debug/examples/pubsub"))
PROFILE = ROOT / "crates/realtime/examples/pubsub/profiles/python.toml"

PATIENCE = 30
"""Seconds that a test waits for an event before it fails. Not a delay: events end the wait."""


@pytest.fixture(scope="module", params=["plain", "compressed"])
def server(request, tmp_path_factory):
    config = tmp_path_factory.mktemp("pubsub") / "config.toml"
    text = PROFILE.read_text().replace("127.0.0.1:8000", "127.0.0.1:0")
    if request.param == "compressed":
        # The client's library offers it by itself, and compresses whatever it sends.
        text += "\n[client]\ncompress_from = 1\n"
    config.write_text(text)
    process = subprocess.Popen([BINARY, "--config", str(config)], stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().removeprefix("listening on ").strip()
    process.terminate()
    process.wait(timeout=30)


def token(seconds=600, **claims):
    return jwt.encode({"exp": int(time.time()) + seconds, **claims}, "secret", algorithm="HS256")


class Events:
    """What a client or a subscription hears, in order."""

    def __init__(self):
        self.queue = asyncio.Queue()

    async def next(self, kind):
        while True:
            what, context = await asyncio.wait_for(self.queue.get(), PATIENCE)
            if what == kind:
                return context


class ClientEvents(Events, ClientEventHandler):
    async def on_connected(self, ctx):
        self.queue.put_nowait(("connected", ctx))

    async def on_disconnected(self, ctx):
        self.queue.put_nowait(("disconnected", ctx))

    async def on_subscribed(self, ctx):
        self.queue.put_nowait(("subscribed", ctx))

    async def on_publication(self, ctx):
        self.queue.put_nowait(("publication", ctx))


class SubscriptionEvents(Events, SubscriptionEventHandler):
    async def on_subscribed(self, ctx):
        self.queue.put_nowait(("subscribed", ctx))

    async def on_unsubscribed(self, ctx):
        self.queue.put_nowait(("unsubscribed", ctx))

    async def on_publication(self, ctx):
        self.queue.put_nowait(("publication", ctx))

    async def on_join(self, ctx):
        self.queue.put_nowait(("join", ctx))

    async def on_leave(self, ctx):
        self.queue.put_nowait(("leave", ctx))


class Person:
    """Somebody with a client in one of the encodings."""

    def __init__(self, server, user, protobuf):
        self.user, self.protobuf, self.events = user, protobuf, ClientEvents()
        self.client = Client(
            f"ws://{server}/connection/websocket",
            events=self.events,
            token=token(sub=user),
            use_protobuf=protobuf,
        )

    def said(self, value):
        return json.dumps(value).encode() if self.protobuf else value

    def heard(self, data):
        return json.loads(data) if self.protobuf else data

    async def listen(self, channel, **options):
        events = SubscriptionEvents()

        async def get_token(channel):
            return token(sub=self.user, channel=channel)

        subscription = self.client.new_subscription(channel, events, get_token=get_token, **options)
        await subscription.subscribe()
        return subscription, events, await events.next("subscribed")


def publish(server, channel, data):
    reply = httpx.post(
        f"http://{server}/api/publish",
        headers={"X-API-Key": "test-api-key"},
        json={"channel": channel, "data": data},
    )
    return reply.json()["result"]


@pytest.fixture(params=[False, True], ids=["json", "protobuf"])
def protobuf(request):
    return request.param


def test_two_people_talk(server, protobuf):
    async def run():
        ann, bob = Person(server, "ann", protobuf), Person(server, "bob", protobuf)
        channel = f"talk_{protobuf}"
        await ann.client.connect()
        await bob.client.connect()
        mine, hears, _ = await ann.listen(channel)
        assert (await hears.next("join")).info.user == "ann"
        theirs, others, _ = await bob.listen(channel, delta=DeltaType.FOSSIL)
        assert (await hears.next("join")).info.user == "bob"
        for n in range(30):
            await mine.publish(ann.said({"n": n, "text": "the same words " * 10}))
        for person, events in ((ann, hears), (bob, others)):
            came = [await events.next("publication") for _ in range(30)]
            assert [person.heard(it.pub.data)["n"] for it in came] == list(range(30))
            assert came[0].pub.info.user == "ann"
        stats = await mine.presence_stats()
        assert (stats.num_clients, stats.num_users) == (2, 2)
        assert {it.user for it in (await theirs.presence()).clients.values()} == {"ann", "bob"}
        history = await mine.history(limit=2, since=StreamPosition(offset=10, epoch=(await mine.history()).epoch))
        assert [ann.heard(it.data)["n"] for it in history.publications] == [10, 11]
        await theirs.unsubscribe()
        assert (await hears.next("leave")).info.user == "bob"
        await ann.client.disconnect()
        await bob.client.disconnect()

    asyncio.run(run())


def test_what_was_missed_is_recovered(server, protobuf):
    async def run():
        person = Person(server, "ann", protobuf)
        channel = f"recovery_{protobuf}"
        await person.client.connect()
        _, events, _ = await person.listen(channel)
        await person.client.disconnect()
        for n in range(20):
            publish(server, channel, n)
        await person.client.connect()
        again = await events.next("subscribed")
        assert again.was_recovering and again.recovered
        came = [await events.next("publication") for _ in range(20)]
        assert [person.heard(it.pub.data) for it in came] == list(range(20))
        await person.client.disconnect()

    asyncio.run(run())


def test_the_server_subscribes_users_to_their_own_channel(server, protobuf):
    async def run():
        user = f"cleo_{protobuf}"
        person = Person(server, user, protobuf)
        await person.client.connect()
        assert (await person.events.next("subscribed")).channel == f"#{user}"
        publish(server, f"#{user}", "psst")
        publication = await person.events.next("publication")
        assert person.heard(publication.pub.data) == "psst"
        await person.client.disconnect()

    asyncio.run(run())


def test_bad_tokens_end_what_they_were_for(server, protobuf):
    async def run():
        events = ClientEvents()
        stranger = Client(
            f"ws://{server}/connection/websocket", events=events, token="bad", use_protobuf=protobuf
        )
        await stranger.connect()
        assert (await events.next("disconnected")).code == 3500
        person = Person(server, "ann", protobuf)
        await person.client.connect()
        ended = SubscriptionEvents()
        await person.client.new_subscription("any", ended, token="bad").subscribe()
        assert (await ended.next("unsubscribed")).code == 103
        await person.client.disconnect()

    asyncio.run(run())
