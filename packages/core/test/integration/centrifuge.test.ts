/** The stock `centrifuge` client against the real server, knowing nothing of this SDK. */
import { Centrifuge, type DisconnectedContext, State } from 'centrifuge';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { Binary, type Minted } from '../support/binary.ts';
import { Happenings } from '../support/events.ts';

let server: Binary;
const open: Centrifuge[] = [];

beforeAll(async () => {
  server = await Binary.start('serve');
});
afterEach(() => {
  for (const client of open.splice(0)) client.disconnect();
});
afterAll(async () => await server?.dispose());

interface Watched {
  client: Centrifuge;
  states: Happenings<string>;
  ends: Happenings<DisconnectedContext>;
  asked: Happenings<string>;
  current: () => Minted;
}

function connect(minted: Minted): Watched {
  let current = minted;
  const states = new Happenings<string>();
  const ends = new Happenings<DisconnectedContext>();
  const asked = new Happenings<string>();
  const client = new Centrifuge(server.realtime, {
    websocket: WebSocket,
    token: minted.accessToken,
    getToken: async () => {
      current = await server.refresh(current.refreshToken);
      asked.add(current.accessToken);
      return current.accessToken;
    },
  });
  client.on('state', ({ newState }) => states.add(newState));
  client.on('disconnected', ends.add);
  open.push(client);
  client.connect();
  return { client, states, ends, asked, current: () => current };
}

it('refreshes in band, and is kept past the life of its token', async () => {
  const minted = await server.mint('ann', { accessTokenExpiry: '2s' });
  const { client, states, asked } = connect(minted);
  // The fourth question comes when the third token is nearly over, and the first has long been.
  await asked.count(4);
  expect(Date.now()).toBeGreaterThan(minted.expiresAt + 2_000);
  expect(client.state).toBe(State.Connected);
  expect(states.items).toEqual(['connecting', 'connected']);
});

it('gets another token where the first has expired, and connects', async () => {
  const minted = await server.mint('ann', { accessTokenExpiry: '1s' });
  while (Date.now() < minted.expiresAt + 10) {
    await server.call('GET', '/healthz');
  }
  const { states, asked, ends } = connect(minted);
  await states.until((state) => state === 'connected');
  expect(asked.items).toHaveLength(1);
  expect(ends.items).toHaveLength(0);
});

it('stops for good when its session is revoked', async () => {
  const minted = await server.mint('ann', { accessTokenExpiry: '1h' });
  const { client, states, ends, asked } = connect(minted);
  await states.until((state) => state === 'connected');
  await server.call('POST', '/auth/revoke', { refreshToken: minted.refreshToken });
  const end = await ends.until(() => true);
  expect(end.code).toBe(3503);
  expect(client.state).toBe(State.Disconnected);
  expect(states.items).toEqual(['connecting', 'connected', 'disconnected']);
  expect(asked.items).toHaveLength(0);
});

it('does not come in with a revoked session, and does not try again', async () => {
  const minted = await server.mint('ann');
  await server.call('POST', '/auth/revoke', { refreshToken: minted.refreshToken });
  const { client, states, ends } = connect(minted);
  const end = await ends.until(() => true);
  expect(end.code).toBe(3503);
  expect(client.state).toBe(State.Disconnected);
  expect(states.items).toEqual(['connecting', 'disconnected']);
});

it('does not come in with a forged token, and does not try again', async () => {
  const minted = await server.mint('ann');
  const accessToken = `${minted.accessToken.slice(0, -6)}AAAAAA`;
  const { states, ends } = connect({ ...minted, accessToken });
  const end = await ends.until(() => true);
  expect(end.code).toBe(3500);
  expect(states.items).toEqual(['connecting', 'disconnected']);
});

it('of another session is left alone by a revocation', async () => {
  const [one, other] = [await server.mint('ann'), await server.mint('ann')];
  const [first, second] = [connect(one), connect(other)];
  await first.states.until((state) => state === 'connected');
  await second.states.until((state) => state === 'connected');
  await server.call('POST', '/auth/revoke', { refreshToken: one.refreshToken });
  await first.ends.until(() => true);
  expect(second.client.state).toBe(State.Connected);
});
