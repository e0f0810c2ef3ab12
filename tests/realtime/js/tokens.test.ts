/** Connections and subscriptions with tokens, and what the server subscribes a client to. */
import { type Centrifuge, type JoinContext, type ServerPublicationContext, State } from 'centrifuge';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { client } from './clients.ts';
import { Queue } from './queue.ts';
import { Server } from './server.ts';
import { token } from './tokens.ts';

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

it('refreshes before the end, and stays connected', async () => {
  const asked = new Queue<void>();
  const centrifuge = connect({
    token: await token({ sub: 'ann' }, 2),
    getToken: () => {
      asked.push();
      return token({ sub: 'ann' });
    },
  });
  await centrifuge.ready();
  await asked.next();
  await centrifuge.newSubscription('#ann').unsubscribe();
  expect(centrifuge.state).toBe(State.Connected);
});

it('subscribes users to their own channel, and keeps it across a cut', async () => {
  const centrifuge = client(server, 'websocket', { token: await token({ sub: 'bea' }) });
  open.push(centrifuge);
  const publications = new Queue<ServerPublicationContext>();
  const subscribed = new Queue<unknown>();
  centrifuge.on('publication', publications.push);
  centrifuge.on('subscribed', subscribed.push);
  centrifuge.connect();
  expect(await subscribed.next()).toMatchObject({ channel: '#bea', recoverable: true });
  await server.publish('#bea', 1);
  expect(await publications.next()).toMatchObject({ channel: '#bea', data: 1 });
  centrifuge.disconnect();
  await server.publish('#bea', 2);
  centrifuge.connect();
  expect(await subscribed.next()).toMatchObject({ wasRecovering: true, recovered: true });
  expect(await publications.next()).toMatchObject({ data: 2 });
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
