"""Stands between clients and a server, and cuts them off as a broken network does."""

import asyncio
import socket
import struct

AT_ONCE = struct.pack("ii", 1, 0)
"""With this way of lingering, a socket that is closed is reset."""


class Relay:
    """`async with Relay(server) as relay`: clients go to `relay.address`."""

    def __init__(self, server):
        self.host, self.port = server.split(":")
        self.writers = set()
        self.broken = False

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.address = "127.0.0.1:{}".format(self.listener.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_):
        self.cut()
        self.listener.close()

    def cut(self):
        """Resets every connection, and each that is tried until `mend`."""
        self.broken = True
        for writer in list(self.writers):
            reset(writer)

    def mend(self):
        self.broken = False

    async def serve(self, reader, writer):
        if self.broken:
            reset(writer)
            return
        there, here = await asyncio.open_connection(self.host, self.port)
        await asyncio.gather(self.copy(reader, here), self.copy(there, writer))

    async def copy(self, reader, writer):
        self.writers.add(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        except ConnectionError:
            writer.transport.abort()
        finally:
            self.writers.discard(writer)


def reset(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()
