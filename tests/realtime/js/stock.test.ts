/** What every transport and encoding of the stock client can do with this server. */
import type { Centrifuge, PublicationContext } from 'centrifuge';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { agreed, client, heard, said, WAYS } from './clients.ts';
import { Queue } from './queue.ts';
import { Relay } from './relay.ts';
import { Server } from './server.ts';

/** The same over WebSockets whose messages are compressed, all of them, in both directions. */
const COMPRESSED = ['websocket', 'websocket protobuf'] as const;

let plain: Server;
let compressing: Server;
let server: Server;
const open: Centrifuge[] = [];
const relays: Relay[] = [];
let channels = 0;

beforeAll(async () => {
  plain = await Server.start('js');
  compressing = await Server.start('js', '', '\n[client]\ncompress_from = 1\n');
});
afterEach(async () => {
  for (const centrifuge of open.splice(0)) centrifuge.disconnect();
  await Promise.all(relays.splice(0).map((relay) => relay.stop()));
});
afterAll(() => Promise.all([plain.stop(), compressing.stop()]));

const CASES = [
  ...WAYS.map((way) => ({ way, how: '', compressed: false })),
  ...COMPRESSED.map((way) => ({ way, how: ', compressed', compressed: true })),
];

describe.each(CASES)('$way$how', ({ way, compressed }) => {
  beforeAll(() => {
    server = compressed ? compressing : plain;
  });

  function connect(to: { address: string } = server): Centrifuge {
    const centrifuge = client(to, way);
    open.push(centrifuge);
    centrifuge.connect();
    return centrifuge;
  }

  function listen(centrifuge: Centrifuge, channel: string) {
    const subscription = centrifuge.newSubscription(channel);
    const publications = new Queue<PublicationContext>();
    subscription.on('publication', publications.push);
    subscription.subscribe();
    return { subscription, publications };
  }

  /** A client whose network `cut` breaks; that is over when the client has noticed. */
  async function connectOverRelay() {
    const relay = await Relay.start(server.address);
    relays.push(relay);
    const centrifuge = connect(relay);
    const cut = async () => {
      const noticed = new Promise((resume) => centrifuge.once('connecting', resume));
      relay.cut();
      expect(await noticed).not.toMatchObject({ code: 0 });
    };
    return { centrifuge, cut, mend: () => relay.mend() };
  }

  const fresh = (prefix = ''): string => `${prefix}${way.replace(/\W/g, '_')}_${channels++}`;

  it('publishes to itself and to others, in order', async () => {
    const channel = fresh();
    const [ann, bob] = [listen(connect(), channel), listen(connect(), channel)];
    await Promise.all([ann.subscription.ready(), bob.subscription.ready()]);
    for (let n = 1; n <= 40; n++) await ann.subscription.publish(said(way, { n }));
    for (const { publications } of [ann, bob]) {
      const came = await publications.take(40);
      expect(came.map(({ data }) => heard(way, data))).toEqual(
        Array.from({ length: 40 }, (_, at) => ({ n: at + 1 })),
      );
      expect(came.map(({ offset }) => offset)).toEqual(Array.from({ length: 40 }, (_, at) => at + 1));
      expect(came[0]?.info?.client).toBeTruthy();
    }
  });

  it('compresses over WebSockets where the server does', async () => {
    agreed.length = 0;
    await connect().ready();
    const socket = compressed ? 'permessage-deflate' : '';
    expect(agreed).toEqual(way.startsWith('websocket') ? [socket] : []);
  });

  it('tells who is there and what was said', async () => {
    const { subscription, publications } = listen(connect(), fresh());
    await subscription.ready();
    const [one, two] = [said(way, 'one'), said(way, 'two')];
    await subscription.publish(one);
    await subscription.publish(two);
    await publications.take(2);
    expect(Object.keys((await subscription.presence()).clients)).toHaveLength(1);
    expect(await subscription.presenceStats()).toEqual({ numClients: 1, numUsers: 1 });
    const all = await subscription.history({ limit: 10 });
    expect(all.publications.map(({ data }) => heard(way, data))).toEqual(['one', 'two']);
    const since = { offset: 1, epoch: all.epoch };
    const rest = await subscription.history({ limit: 10, since });
    expect(rest.publications.map(({ data }) => heard(way, data))).toEqual(['two']);
    const back = await subscription.history({ limit: 1, reverse: true });
    expect(back.publications.map(({ data }) => heard(way, data))).toEqual(['two']);
    expect((await subscription.history({ limit: 0 })).offset).toBe(2);
    await expect(subscription.history({ since: { offset: 1, epoch: 'other' } })).rejects.toMatchObject({
      code: 112,
    });
  });

  it('recovers what was missed while it was away', async () => {
    const channel = fresh('recovery:');
    const centrifuge = connect();
    const { subscription, publications } = listen(centrifuge, channel);
    await subscription.ready();
    await server.publish(channel, 'before');
    await publications.next();
    centrifuge.disconnect();
    for (let n = 0; n < 20; n++) await server.publish(channel, n);
    const again = new Promise((resume) => subscription.once('subscribed', resume));
    centrifuge.connect();
    expect(await again).toMatchObject({ wasRecovering: true, recovered: true });
    const missed = await publications.take(20);
    expect(missed.map(({ data }) => heard(way, data))).toEqual(Array.from({ length: 20 }, (_, n) => n));
    await server.publish(channel, 'after');
    expect(heard(way, (await publications.next()).data)).toBe('after');
    expect(publications.left).toEqual([]);
  });

  it('recovers what was missed while its network was broken, as another connection', async () => {
    const channel = fresh('recovery:');
    const { centrifuge, cut, mend } = await connectOverRelay();
    const { subscription, publications } = listen(centrifuge, channel);
    const first = (await new Promise((resume) => centrifuge.once('connected', resume))) as { client: string };
    await subscription.ready();
    for (const round of [0, 1]) {
      await server.publish(channel, `before ${round}`);
      expect(heard(way, (await publications.next()).data)).toBe(`before ${round}`);
      await cut();
      for (let n = 0; n < 20; n++) await server.publish(channel, n);
      const [connected, again] = [
        new Promise((resume) => centrifuge.once('connected', resume)),
        new Promise((resume) => subscription.once('subscribed', resume)),
      ];
      mend();
      expect(await connected).not.toMatchObject({ client: first.client });
      expect(await again).toMatchObject({ wasRecovering: true, recovered: true });
      const missed = await publications.take(20);
      expect(missed.map(({ data }) => heard(way, data))).toEqual(Array.from({ length: 20 }, (_, n) => n));
    }
    await server.publish(channel, 'after');
    expect(heard(way, (await publications.next()).data)).toBe('after');
    expect(publications.left).toEqual([]);
  });

  it('says so when what was missed is gone', async () => {
    const channel = fresh('smallhistory:');
    const { subscription } = listen(connect(), channel);
    await subscription.ready();
    subscription.unsubscribe();
    for (let n = 0; n < 5; n++) await server.publish(channel, n);
    const again = new Promise((resume) => subscription.once('subscribed', resume));
    subscription.subscribe();
    expect(await again).toMatchObject({ wasRecovering: true, recovered: false });
  });

  it('decodes differences, live and recovered', async () => {
    const channel = fresh('delta:');
    const { centrifuge, cut, mend } = await connectOverRelay();
    const subscription = centrifuge.newSubscription(channel, { delta: 'fossil' });
    const publications = new Queue<PublicationContext>();
    subscription.on('publication', publications.push);
    subscription.subscribe();
    await subscription.ready();
    const text = 'a sentence that stays the same, with ünïcödé and "quotes", '.repeat(5);
    const states = Array.from({ length: 6 }, (_, n) => ({ text, n }));
    for (const state of states.slice(0, 3)) await server.publish(channel, state);
    expect((await publications.take(3)).map(({ data }) => heard(way, data))).toEqual(states.slice(0, 3));
    await cut();
    for (const state of states.slice(3, 5)) await server.publish(channel, state);
    const again = new Promise((resume) => subscription.once('subscribed', resume));
    mend();
    expect(await again).toMatchObject({ wasRecovering: true, recovered: true });
    await server.publish(channel, states[5]);
    expect((await publications.take(3)).map(({ data }) => heard(way, data))).toEqual(states.slice(3));
  });

  it('ends a storm of subscribing and unsubscribing with one or none', async () => {
    const channel = fresh();
    const { subscription } = listen(connect(), channel);
    for (let n = 0; n < 10; n++) {
      subscription.unsubscribe();
      subscription.subscribe();
    }
    await subscription.ready();
    await expect
      .poll(() => server.api('presence_stats', { channel }))
      .toEqual({ num_clients: 1, num_users: 1 });
    subscription.unsubscribe();
    await expect
      .poll(() => server.api('presence_stats', { channel }))
      .toEqual({ num_clients: 0, num_users: 0 });
  });

  it('is told what there is not', async () => {
    const centrifuge = connect();
    await expect(centrifuge.rpc('nothing', said(way, null))).rejects.toMatchObject({ code: 108 });
    const { subscription } = listen(centrifuge, 'unknown:namespace');
    const ended = await new Promise((resume) => subscription.once('unsubscribed', resume));
    expect(ended).toMatchObject({ code: 102 });
  });

  it('stays away when it was disconnected by the server', async () => {
    const centrifuge = connect();
    await centrifuge.ready();
    const ended = new Promise((resume) => centrifuge.once('disconnected', resume));
    await server.api('disconnect', { user: '' });
    expect(await ended).toMatchObject({ code: 3503, reason: 'force disconnect' });
  });
});
