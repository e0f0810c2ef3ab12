/** Connections and subscriptions with tokens, and what the server subscribes a client to. */
import {
  type Centrifuge,
  type JoinContext,
  type PublicationContext,
  type ServerPublicationContext,
  State,
} from 'centrifuge';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { client } from './clients.ts';
import { Queue } from './queue.ts';
import { Relay } from './relay.ts';
import { Server } from './server.ts';
import { signed, token } from './tokens.ts';

let server: Server;
const open: Centrifuge[] = [];

beforeAll(async () => {
  server = await Server.start('python');
});
afterEach(() => {
  for (const centrifuge of open.splice(0)) centrifuge.disconnect();
});
afterAll(() => server.stop());

function connect(options: Parameters<typeof client>[2]): Centrifuge {
  const centrifuge = client(server, 'websocket', options);
  open.push(centrifuge);
  centrifuge.connect();
  return centrifuge;
}

const disconnected = (centrifuge: Centrifuge): Promise<unknown> =>
  new Promise((resume) => centrifuge.once('disconnected', resume));

it('admits tokens that are good and nobody else', async () => {
  const ann = connect({ token: await token({ sub: 'ann' }) });
  await ann.ready();
  expect(await disconnected(connect({ token: 'nonsense' }))).toMatchObject({ code: 3500 });
  const forged = `${(await token({ sub: 'ann' })).slice(0, -4)}AAAA`;
  expect(await disconnected(connect({ token: forged }))).toMatchObject({ code: 3500 });
  expect(await disconnected(connect({}))).toMatchObject({ code: 3501 });
});

it('asks for another token when one has expired', async () => {
  const expired = await token({ sub: 'ann' }, -1);
  const centrifuge = connect({ token: expired, getToken: () => token({ sub: 'ann' }) });
  await centrifuge.ready();
});

/**
 * Tokens of two seconds. A client asks for the next one only when the server has taken the last and said how long
 * that lasts: whoever is asked again knows that what was given before was taken.
 */
function shortLived(claims: Record<string, unknown>) {
  const asked = new Queue<void>();
  const getToken = () => {
    asked.push();
    return token(claims, 2);
  };
  return { asked, getToken };
}

/** Everything that may go wrong with a connection: nothing of it is to happen. */
function troubles(centrifuge: Centrifuge): unknown[] {
  const seen: unknown[] = [];
  centrifuge.on('connecting', (context) => seen.push(context));
  centrifuge.on('disconnected', (context) => seen.push(context));
  centrifuge.on('error', (context) => seen.push(context));
  return seen;
}

it('refreshes before the end, and stays connected past it', async () => {
  const { asked, getToken } = shortLived({ sub: 'ann' });
  const centrifuge = connect({ getToken });
  await centrifuge.ready();
  const trouble = troubles(centrifuge);
  await asked.take(3);
  expect(trouble).toEqual([]);
  expect(centrifuge.state).toBe(State.Connected);
});

it('is disconnected when what it refreshes with is no good', async () => {
  const centrifuge = connect({ token: await token({ sub: 'ann' }, 2), getToken: async () => 'garbage' });
  expect(await disconnected(centrifuge)).toMatchObject({ code: 3500 });
});

it('refreshes subscriptions before the end, and stays subscribed past it', async () => {
  const centrifuge = connect({ token: await token({ sub: 'ann' }) });
  const { asked, getToken } = shortLived({ sub: 'ann', channel: '$short' });
  const subscription = centrifuge.newSubscription('$short', { getToken });
  subscription.subscribe();
  await subscription.ready();
  const trouble = troubles(centrifuge);
  subscription.on('subscribing', (context) => trouble.push(context));
  subscription.on('unsubscribed', (context) => trouble.push(context));
  subscription.on('error', (context) => trouble.push(context));
  const publications = new Queue<PublicationContext>();
  subscription.on('publication', publications.push);
  await asked.take(3);
  await server.publish('$short', 'still here');
  expect(await publications.next()).toMatchObject({ data: 'still here' });
  expect(trouble).toEqual([]);
});

it('ends a subscription that is refreshed with what is no good', async () => {
  const centrifuge = connect({ token: await token({ sub: 'ann' }) });
  const subscription = centrifuge.newSubscription('$short', {
    token: await token({ sub: 'ann', channel: '$short' }, 2),
    getToken: async () => 'garbage',
  });
  const ended = new Promise((resume) => subscription.once('unsubscribed', resume));
  subscription.subscribe();
  expect(await ended).toMatchObject({ code: 103 });
});

it('takes times with a fraction, and times beyond all calendars', async () => {
  const soon = Date.now() / 1000 + 600;
  for (const times of [
    { exp: soon + 0.5, nbf: soon - 700.25 },
    { exp: 1e300 },
    { exp: soon, expire_at: 0 },
  ]) {
    await connect({ token: await signed({ sub: 'ann', ...times }) }).ready();
  }
  for (const nbf of [soon, 1e300]) {
    expect(await disconnected(connect({ token: await signed({ sub: 'ann', nbf }) }))).toMatchObject({
      code: 3500,
    });
  }
});

it('subscribes once to a channel that a token names more than once', async () => {
  const subscribed = new Queue<{ channel: string; data?: unknown }>();
  const claims = { sub: 'dora', channels: ['a', 'a', '#dora'], subs: { a: { data: { from: 'subs' } } } };
  const centrifuge = connect({ token: await token(claims) });
  centrifuge.on('subscribed', subscribed.push);
  await centrifuge.ready();
  const came = await subscribed.take(2);
  expect(came.map(({ channel }) => channel).sort()).toEqual(['#dora', 'a']);
  expect(came.find(({ channel }) => channel === 'a')?.data).toEqual({ from: 'subs' });
  expect(subscribed.left).toEqual([]);
});

it('behaves towards a subscriber as its token says', async () => {
  const off = { value: false };
  const override = {
    join_leave: off,
    force_push_join_leave: off,
    force_recovery: off,
    force_positioning: off,
  };
  const centrifuge = connect({ token: await token({ sub: 'ann' }) });
  const watch = async (user: string, claims: object) => {
    const centrifuge = connect({ token: await token({ sub: user }) });
    const channel = 'overridden';
    const sub = { token: await token({ sub: user, channel, ...claims }) };
    const subscription = centrifuge.newSubscription(channel, sub);
    const joins = new Queue<JoinContext>();
    subscription.on('join', joins.push);
    const subscribed = new Promise((resume) => subscription.once('subscribed', resume));
    subscription.subscribe();
    return { context: await subscribed, joins, subscription };
  };
  const seen = await watch('ann', {});
  expect(seen.context).toMatchObject({ recoverable: true });
  expect((await seen.joins.next()).info.user).toBe('ann');
  const hidden = await watch('bob', { override });
  expect(hidden.context).toMatchObject({ recoverable: false });
  await watch('cleo', {});
  expect((await seen.joins.next()).info.user, 'who is not announced').toBe('cleo');
  await hidden.subscription.publish('answered after what was pushed before');
  expect(hidden.joins.left).toEqual([]);
  const other = await token({ sub: 'ann', channel: 'unseen', override: { presence: off } });
  const unseen = centrifuge.newSubscription('unseen', { token: other });
  const ended = new Promise((resume) => unseen.once('unsubscribed', resume));
  unseen.subscribe();
  expect(await ended, 'what cannot be obeyed').toMatchObject({ code: 103 });
});

it('never ends a connection in the insecure mode', async () => {
  const insecure = await Server.start('js');
  const answers = new Queue<string>();
  class Recording extends WebSocket {
    constructor(address: string) {
      super(address);
      this.on('message', (data) => answers.push(String(data)));
    }
  }
  try {
    const centrifuge = client(insecure, 'websocket', {
      token: await token({ sub: 'ann' }),
      websocket: Recording,
    });
    open.push(centrifuge);
    centrifuge.connect();
    await centrifuge.ready();
    expect(JSON.parse(await answers.next()).connect).not.toHaveProperty('expires');
    // No client asks for a refresh that it does not need; so the command is sent past it.
    const socket = new WebSocket(`ws://${insecure.address}/connection/websocket`);
    const replies = new Queue<string>();
    socket.on('message', (data) => replies.push(String(data)));
    await new Promise((resume) => socket.once('open', resume));
    const send = async (command: unknown) => {
      socket.send(JSON.stringify(command));
      return JSON.parse(await replies.next());
    };
    await send({ id: 1, connect: { token: await token({ sub: 'ann' }) } });
    const refreshed = await send({ id: 2, refresh: { token: await token({ sub: 'ann' }) } });
    expect(refreshed.refresh).not.toHaveProperty('expires');
    socket.close();
  } finally {
    await insecure.stop();
  }
});

it('subscribes users to their own channel, and keeps it across a cut', async () => {
  const relay = await Relay.start(server.address);
  const centrifuge = client(relay, 'websocket', { token: await token({ sub: 'bea' }) });
  open.push(centrifuge);
  const publications = new Queue<ServerPublicationContext>();
  const subscribed = new Queue<unknown>();
  centrifuge.on('publication', publications.push);
  centrifuge.on('subscribed', subscribed.push);
  centrifuge.connect();
  expect(await subscribed.next()).toMatchObject({ channel: '#bea', recoverable: true });
  await server.publish('#bea', 1);
  expect(await publications.next()).toMatchObject({ channel: '#bea', data: 1 });
  const noticed = new Promise((resume) => centrifuge.once('connecting', resume));
  relay.cut();
  await noticed;
  await server.publish('#bea', 2);
  relay.mend();
  expect(await subscribed.next()).toMatchObject({ wasRecovering: true, recovered: true });
  expect(await publications.next()).toMatchObject({ data: 2 });
  centrifuge.disconnect();
  await relay.stop();
});

it('subscribes and unsubscribes clients at a word from the server', async () => {
  const centrifuge = connect({ token: await token({ sub: 'cleo' }) });
  await centrifuge.ready();
  const [subscribed, unsubscribed] = [new Queue<unknown>(), new Queue<unknown>()];
  const publications = new Queue<ServerPublicationContext>();
  centrifuge.on('subscribed', subscribed.push);
  centrifuge.on('unsubscribed', unsubscribed.push);
  centrifuge.on('publication', publications.push);
  await server.api('subscribe', { user: 'cleo', channel: 'room' });
  expect(await subscribed.next()).toMatchObject({ channel: 'room' });
  await server.publish('room', 'hello');
  expect(await publications.next()).toMatchObject({ channel: 'room', data: 'hello' });
  await server.api('unsubscribe', { user: 'cleo', channel: 'room' });
  expect(await unsubscribed.next()).toMatchObject({ channel: 'room' });
});

it('asks for a token where a channel needs one', async () => {
  const centrifuge = connect({ token: await token({ sub: 'ann' }) });
  const channel = '$private';
  const good = centrifuge.newSubscription(channel, { getToken: () => token({ sub: 'ann', channel }) });
  good.subscribe();
  await good.ready();
  good.unsubscribe();
  centrifuge.removeSubscription(good);
  const bare = centrifuge.newSubscription(channel);
  const ended = new Promise((resume) => bare.once('unsubscribed', resume));
  bare.subscribe();
  expect(await ended).toMatchObject({ code: 103 });
  const other = await token({ sub: 'ann', channel: 'other' });
  const gone = disconnected(centrifuge);
  centrifuge.newSubscription('$stolen', { token: other }).subscribe();
  expect(await gone).toMatchObject({ code: 3500 });
});

it('announces who comes and goes', async () => {
  const watch = async (user: string) => {
    const centrifuge = connect({ token: await token({ sub: user }) });
    const subscription = centrifuge.newSubscription('lobby', {
      getToken: () => token({ sub: user, channel: 'lobby' }),
    });
    const [joins, leaves] = [new Queue<JoinContext>(), new Queue<JoinContext>()];
    subscription.on('join', joins.push);
    subscription.on('leave', leaves.push);
    subscription.subscribe();
    await subscription.ready();
    return { subscription, joins, leaves };
  };
  const ann = await watch('ann');
  expect((await ann.joins.next()).info.user).toBe('ann');
  const bob = await watch('bob');
  expect((await ann.joins.next()).info.user).toBe('bob');
  bob.subscription.unsubscribe();
  expect((await ann.leaves.next()).info.user).toBe('bob');
});
