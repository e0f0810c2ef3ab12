"""The stock Python client against the engine's example server, in both encodings."""

import asyncio

import pytest
from centrifuge import DeltaType, StreamPosition
from people import Person, publish
from relay import Relay

pytest_plugins = ["stock_server"]


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


@pytest.mark.parametrize("delta", [None, DeltaType.FOSSIL], ids=["whole", "delta"])
def test_what_was_missed_is_recovered(server, protobuf, delta):
    async def run():
        person = Person(server, "ann", protobuf)
        channel = f"recovery_{protobuf}_{delta}"
        await person.client.connect()
        _, events, _ = await person.listen(channel, delta=delta)
        publish(server, channel, state(0))
        await events.next("publication")
        await person.client.disconnect()
        for n in range(1, 21):
            publish(server, channel, state(n))
        await person.client.connect()
        await hears_the_rest(person, events, range(1, 21))
        await person.client.disconnect()

    asyncio.run(run())


@pytest.mark.parametrize("delta", [None, DeltaType.FOSSIL], ids=["whole", "delta"])
def test_what_was_missed_while_the_network_was_broken_is_recovered(server, protobuf, delta):
    async def run():
        async with Relay(server) as relay:
            person = Person(relay.address, "ann", protobuf, min_reconnect_delay=0.01)
            channel = f"broken_{protobuf}_{delta}"
            await person.client.connect()
            first = await person.events.next("connected")
            _, events, _ = await person.listen(channel, delta=delta)
            publish(server, channel, state(0))
            await events.next("publication")
            relay.cut()
            await person.events.next("connecting")
            for n in range(1, 21):
                publish(server, channel, state(n))
            relay.mend()
            assert (await person.events.next("connected")).client != first.client
            await hears_the_rest(person, events, range(1, 21))
            publish(server, channel, state(21))
            assert person.heard((await events.next("publication")).pub.data) == state(21)
            await person.client.disconnect()

    asyncio.run(run())


def state(n):
    return {"text": "a text that stays the same, with ünïcödé, " * 5, "n": n}


async def hears_the_rest(person, events, numbers):
    again = await events.next("subscribed")
    assert again.was_recovering and again.recovered
    came = [await events.next("publication") for _ in numbers]
    assert [person.heard(it.pub.data) for it in came] == [state(n) for n in numbers]


def test_the_server_subscribes_users_to_their_own_channel(server, protobuf):
    async def run():
        async with Relay(server) as relay:
            user = f"cleo_{protobuf}"
            person = Person(relay.address, user, protobuf, min_reconnect_delay=0.01)
            await person.client.connect()
            assert (await person.events.next("subscribed")).channel == f"#{user}"
            publish(server, f"#{user}", "psst")
            publication = await person.events.next("publication")
            assert person.heard(publication.pub.data) == "psst"
            relay.cut()
            await person.events.next("connecting")
            publish(server, f"#{user}", "missed")
            relay.mend()
            again = await person.events.next("subscribed")
            assert again.was_recovering and again.recovered
            publication = await person.events.next("publication")
            assert person.heard(publication.pub.data) == "missed"
            await person.client.disconnect()

    asyncio.run(run())
