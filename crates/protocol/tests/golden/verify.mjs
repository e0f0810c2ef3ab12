// Plays deltas.json to the stock JavaScript client: it shall hear every base and every target. Run it here
// with `node verify.mjs`, where `centrifuge` is installed.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Centrifuge } from 'centrifuge';

const deltas = JSON.parse(readFileSync(new URL('deltas.json', import.meta.url), 'utf8'));

/** A server in place of a socket. It knows as much of the protocol as the client needs. */
class Server {
  static OPEN = 1;
  readyState = 1;
  binaryType = '';

  constructor() {
    queueMicrotask(() => this.onopen());
  }

  send(frame) {
    for (const line of frame.split('\n')) {
      const { id, connect, subscribe } = JSON.parse(line);
      if (connect) this.say({ id, connect: { client: 'c', version: '1' } });
      if (!subscribe) continue;
      const { channel } = subscribe;
      assert.equal(subscribe.delta, 'fossil');
      const terms = { recoverable: true, positioned: true, epoch: 'e', delta: true };
      this.say({ id, subscribe: terms });
      const { base, delta } = deltas[Number(channel)];
      this.say({ push: { channel, pub: { data: base, offset: 1 } } });
      this.say({ push: { channel, pub: { data: delta, offset: 2, delta: true } } });
    }
  }

  say(reply) {
    queueMicrotask(() => this.onmessage({ data: JSON.stringify(reply) }));
  }

  close() {}
}

const client = new Centrifuge('ws://nowhere', { websocket: Server });
await Promise.all(
  deltas.map(
    ({ base, target }, channel) =>
      new Promise((resolve) => {
        const heard = [];
        const subscription = client.newSubscription(String(channel), { delta: 'fossil' });
        subscription.on('publication', ({ data }) => {
          heard.push(data);
          if (heard.length < 2) return;
          assert.deepEqual(heard, [JSON.parse(base), JSON.parse(target)]);
          resolve();
        });
        subscription.subscribe();
        client.connect();
      }),
  ),
);
console.log(`${deltas.length} deltas`);
process.exit();
