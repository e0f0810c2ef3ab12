"""Reads frames.txt with the messages of `centrifuge-python` (Google's Protobuf) and writes them again, and
applies deltas.json.

Run it here with `python verify.py`, where centrifuge-python is installed.
"""

import json

from centrifuge.fossil import apply_delta
from centrifuge.protocol import client_pb2
from google.protobuf.json_format import MessageToDict


count = 0
with open("frames.txt", encoding="utf-8") as frames:
    for line in frames:
        sender, digits, text = line.rstrip("\n").split(" ", 2)
        frame = bytes.fromhex(digits)
        size, at = 0, 0
        while True:
            size |= (frame[at] & 0x7F) << (7 * at)
            at += 1
            if frame[at - 1] < 0x80:
                break
        assert len(frame) == at + size, line
        message = client_pb2.Command() if sender == "command" else client_pb2.Reply()
        message.ParseFromString(frame[at:])
        assert message.SerializeToString(deterministic=True) == frame[at:], line
        said = MessageToDict(message, preserving_proto_field_name=True)
        assert said.keys() <= json.loads(text).keys(), line
        count += 1
print(f"{count} frames")

with open("deltas.json", encoding="utf-8") as deltas:
    entries = json.load(deltas)
for entry in entries:
    base, target, delta = (entry[name].encode() for name in ("base", "target", "delta"))
    assert bytes(apply_delta(base, delta)) == target, entry
print(f"{len(entries)} deltas")
