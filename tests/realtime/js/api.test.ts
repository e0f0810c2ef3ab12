/** The server API: calls over HTTP, and what clients see of them. */
import type { Centrifuge } from 'centrifuge';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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

async function listen(channel: string, way: 'websocket' | 'websocket protobuf', claims: object = {}) {
  const centrifuge = client(server, way, { token: await token({ sub: 'ann', info: { name: 'Ann' } }) });
  open.push(centrifuge);
  const subscription = centrifuge.newSubscription(channel, {
    token: await token({ sub: 'ann', channel, ...claims }),
  });
  const data = new Queue<unknown>();
  subscription.on('publication', (publication) => data.push(publication.data));
  centrifuge.connect();
  subscription.subscribe();
  await subscription.ready();
  return { centrifuge, subscription, data };
}

/** JSON that a program which reads it into its own values spoils, or does not survive. */
const PECULIAR = [
  '1e999',
  '"\\ud800"',
  '12345678901234567890123',
  '{"z":1,"a":{"y":0.10,"b":[ ]},"z":2}',
  `${'['.repeat(120)}${']'.repeat(120)}`,
];
const DEEP = `${'['.repeat(500)}${']'.repeat(500)}`;

describe('what clients say comes back as it was said', () => {
  it.each(PECULIAR)('%#', async (text) => {
    const channel = `peculiar${PECULIAR.indexOf(text)}`;
    const { subscription } = await listen(channel, 'websocket protobuf');
    await subscription.publish(new TextEncoder().encode(text));
    const { body } = await server.call('publish', `{"channel":"${channel}","data":${text}}`);
    expect(body).toMatch(/^\{"result":\{"offset":2,"epoch":"\w+"\}\}$/);
    const history = await server.call('history', JSON.stringify({ channel, limit: -1 }));
    expect(history.status).toBe(200);
    expect(history.body.split(`"data":${text},`)).toHaveLength(3);
  });
});

it('refuses data that is deeper than clients take, and stays', async () => {
  const broadcast = await server.call('broadcast', `{"channels":["deep"],"data":${DEEP}}`);
  expect(JSON.parse(broadcast.body)).toEqual({
    result: { responses: [{ error: { code: 107, message: 'bad request' } }] },
  });
  const refused = await server.call('publish', `{"channel":"deep","data":${DEEP}}`);
  expect(JSON.parse(refused.body)).toEqual({ error: { code: 107, message: 'bad request' } });
  expect(await server.api('history', { channel: 'deep' })).toMatchObject({ offset: 0 });
});

it('tells all of a publication: who, what, when and under which tags', async () => {
  const channel = 'told';
  const { centrifuge, subscription } = await listen(channel, 'websocket', { info: { role: 'guest' } });
  await subscription.publish({ n: 1 });
  await server.api('publish', { channel, data: 2, tags: { kind: 'note' } });
  const bytes = await listen(channel, 'websocket protobuf');
  centrifuge.disconnect();
  await bytes.subscription.publish(new Uint8Array([1, 2, 255]));
  const history = await server.api('history', { channel, limit: -1 });
  const [one, two, three] = history.publications as Record<string, unknown>[];
  expect(one).toEqual({
    offset: 1,
    data: { n: 1 },
    info: {
      user: 'ann',
      client: expect.any(String),
      conn_info: { name: 'Ann' },
      chan_info: { role: 'guest' },
    },
    time: expect.any(Number),
  });
  expect(two).toEqual({ offset: 2, data: 2, tags: { kind: 'note' }, time: expect.any(Number) });
  expect(three).toMatchObject({ offset: 3, b64data: 'AQL/' });
  expect(three).not.toHaveProperty('data');
  const { epoch } = history as { epoch: string };
  const since = { offset: 1, epoch };
  const page = await server.api('history', { channel, limit: 1, since });
  expect(page).toMatchObject({ publications: [{ offset: 2 }], offset: 3 });
  const back = await server.api('history', { channel, limit: 1, reverse: true });
  expect(back).toMatchObject({ publications: [{ offset: 3 }] });
  const lost = server.api('history', { channel, limit: 1, since: { offset: 1, epoch: 'other' } });
  await expect(lost).rejects.toThrow('112');
  await server.api('history_remove', { channel });
  expect(await server.api('history', { channel, limit: -1 })).toEqual({ publications: [], offset: 3, epoch });
});

it('tells who is there, with what is known of them', async () => {
  const channel = 'there';
  await listen(channel, 'websocket', { b64info: 'AQL/' });
  const { presence } = await server.api('presence', { channel });
  const [[id, ann]] = Object.entries(presence as Record<string, unknown>) as [[string, unknown]];
  expect(ann).toEqual({ user: 'ann', client: id, conn_info: { name: 'Ann' }, b64chan_info: 'AQL/' });
  expect(await server.api('presence_stats', { channel })).toEqual({ num_clients: 1, num_users: 1 });
  await expect(server.api('presence', { channel: 'smallhistory:x' })).rejects.toThrow('108');
});

it('publishes in several channels at once', async () => {
  const [red, blue] = [await listen('red', 'websocket'), await listen('blue', 'websocket')];
  const { responses } = await server.api('broadcast', {
    channels: ['red', 'nowhere:x', 'blue'],
    data: 'hey',
  });
  expect(responses).toEqual([
    { result: { offset: 1, epoch: expect.any(String) } },
    { error: { code: 102, message: 'unknown channel' } },
    { result: { offset: 1, epoch: expect.any(String) } },
  ]);
  expect(await Promise.all([red.data.next(), blue.data.next()])).toEqual(['hey', 'hey']);
});

it('publishes once, however often it is asked with one key or with an older version', async () => {
  const { data } = await listen('once', 'websocket');
  const call = { channel: 'once', data: 1, idempotency_key: 'k' };
  expect(await server.api('publish', call)).toEqual(await server.api('publish', call));
  await server.api('publish', { channel: 'once', data: 2, version: 7, version_epoch: 'e' });
  await server.api('publish', { channel: 'once', data: 3, version: 6, version_epoch: 'e' });
  await server.publish('once', 'end');
  expect(await data.take(3)).toEqual([1, 2, 'end']);
});

describe('names that no client could use make no channel', () => {
  // Of its own: clients of other tests may be leaving theirs.
  let server: Server;
  beforeAll(async () => {
    server = await Server.start('python');
  });
  afterAll(() => server.stop());

  it.each([
    { name: 'none', channel: '' },
    { name: 'other letters', channel: 'ä' },
    { name: 'too long', channel: 'x'.repeat(256) },
    { name: 'much too long', channel: 'x'.repeat(10_000) },
  ])('$name', async ({ channel }) => {
    const { channels } = await server.api('info', {});
    for (const [method, more] of Object.entries({
      publish: { data: 1 },
      history: {},
      presence: {},
      subscribe: { user: 'ann' },
    })) {
      await expect(server.api(method, { channel, ...more })).rejects.toThrow('107');
    }
    expect(await server.api('info', {})).toMatchObject({ channels });
    const bearer = client(server, 'websocket', { token: await token({ sub: 'ann', channels: [channel] }) });
    const ended = new Promise((resume) => bearer.once('disconnected', resume));
    bearer.connect();
    expect(await ended).toMatchObject({ code: 3500 });
  });
});

it('refuses calls that ask for more than it can do', async () => {
  const { centrifuge } = await listen('room', 'websocket');
  const { client: id } = await new Promise<{ client: string }>((resume) => {
    centrifuge.once('connected', resume);
    centrifuge.disconnect();
    centrifuge.connect();
  });
  await expect(server.api('disconnect', { user: 'ann', client: id })).rejects.toThrow('107');
  await expect(server.api('unsubscribe', { user: 'ann', channel: 'room', client: id })).rejects.toThrow(
    '107',
  );
  await expect(server.api('publish', { channel: 'room', channels: ['a'], data: 1 })).rejects.toThrow('107');
  await expect(server.api('history', { channel: 'room', limitt: 1 })).rejects.toThrow('107');
  expect(centrifuge.state).toBe('connected');
});

it('answers nobody without the key, and nothing else than what it has', async () => {
  const body = JSON.stringify({ channel: 'room' });
  expect((await server.call('history', body, 'wrong')).status).toBe(401);
  expect((await server.call('dance', '{}')).status).toBe(404);
  expect(JSON.parse((await server.call('history', '{')).body)).toEqual({
    error: { code: 107, message: 'bad request' },
  });
});
