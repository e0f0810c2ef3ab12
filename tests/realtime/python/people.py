"""People with a stock client each, and what they hear."""

import asyncio
import json
import time

import httpx
import jwt
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

PATIENCE = 30
"""Seconds that a test waits for an event before it fails. Not a delay: events end the wait."""


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

    def kinds(self):
        """Of what was not waited for."""
        kinds = []
        while not self.queue.empty():
            kinds.append(self.queue.get_nowait()[0])
        return kinds


class ClientEvents(Events, ClientEventHandler):
    async def on_connected(self, ctx):
        self.queue.put_nowait(("connected", ctx))

    async def on_connecting(self, ctx):
        self.queue.put_nowait(("connecting", ctx))

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

    def __init__(self, server, user, protobuf, **options):
        self.user, self.protobuf, self.events = user, protobuf, ClientEvents()
        self.client = Client(
            f"ws://{server}/connection/websocket",
            events=self.events,
            use_protobuf=protobuf,
            **({"token": token(sub=user)} | options),
        )

    def said(self, value):
        return json.dumps(value).encode() if self.protobuf else value

    def heard(self, data):
        return json.loads(data) if self.protobuf else data

    async def listen(self, channel, **options):
        events = SubscriptionEvents()

        async def get_token(channel):
            return token(sub=self.user, channel=channel)

        options = {"get_token": get_token} | options
        subscription = self.client.new_subscription(channel, events, **options)
        await subscription.subscribe()
        return subscription, events, await events.next("subscribed")


def publish(server, channel, data):
    reply = httpx.post(
        f"http://{server}/api/publish",
        headers={"X-API-Key": "test-api-key"},
        json={"channel": channel, "data": data},
    )
    return reply.json()["result"]
