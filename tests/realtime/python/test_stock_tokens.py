"""Tokens that are no good, and tokens that end, with the stock Python client."""

import asyncio

from centrifuge import Client
from people import PATIENCE, ClientEvents, Person, SubscriptionEvents, publish, token

pytest_plugins = ["stock_server"]


def test_bad_tokens_end_what_they_were_for(server, protobuf):
    async def run():
        events = ClientEvents()
        stranger = Client(f"ws://{server}/connection/websocket", events=events, token="bad", use_protobuf=protobuf)
        await stranger.connect()
        assert (await events.next("disconnected")).code == 3500
        person = Person(server, "ann", protobuf)
        await person.client.connect()
        ended = SubscriptionEvents()
        await person.client.new_subscription("any", ended, token="bad").subscribe()
        assert (await ended.next("unsubscribed")).code == 103
        await person.client.disconnect()

    asyncio.run(run())


class ShortLived:
    """Tokens of two seconds. A client asks for the next one only when the server has taken the last and said how
    long that lasts: whoever is asked again knows that what was given before was taken."""

    def __init__(self, **claims):
        self.claims, self.asked = claims, asyncio.Queue()

    async def get_token(self, *_):
        self.asked.put_nowait(None)
        return token(seconds=2, **self.claims)

    async def is_asked(self, times):
        for _ in range(times):
            await asyncio.wait_for(self.asked.get(), PATIENCE)


def test_a_connection_that_refreshes_outlives_its_tokens(server, protobuf):
    async def run():
        tokens = ShortLived(sub="ann")
        person = Person(server, "ann", protobuf, token="", get_token=tokens.get_token)
        await person.client.connect()
        await person.events.next("connected")
        await tokens.is_asked(3)
        kinds = person.events.kinds()
        assert "connecting" not in kinds
        assert "disconnected" not in kinds
        await person.client.disconnect()

    asyncio.run(run())


def test_a_connection_that_refreshes_with_garbage_ends(server, protobuf):
    async def garbage():
        return "garbage"

    async def run():
        person = Person(server, "ann", protobuf, token=token(2, sub="ann"), get_token=garbage)
        await person.client.connect()
        assert (await person.events.next("disconnected")).code == 3500

    asyncio.run(run())


def test_a_subscription_that_refreshes_outlives_its_tokens(server, protobuf):
    async def run():
        channel = f"$short_{protobuf}"
        tokens = ShortLived(sub="ann", channel=channel)
        person = Person(server, "ann", protobuf)
        await person.client.connect()
        _, events, _ = await person.listen(channel, get_token=tokens.get_token)
        await tokens.is_asked(3)
        assert "unsubscribed" not in events.kinds()
        publish(server, channel, "still here")
        assert person.heard((await events.next("publication")).pub.data) == "still here"
        assert "subscribed" not in events.kinds()
        await person.client.disconnect()

    asyncio.run(run())
