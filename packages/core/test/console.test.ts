/** What an app hears that names no logger. R45, C45. */
import { afterEach, expect, it, vi } from 'vitest';
import { ChatSDK } from '../src/index.ts';
import { ClientScene } from './support/client-scene.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

it('warnings and errors go to the console, and nothing of the ordinary course', async () => {
  const said: string[] = [];
  for (const level of ['debug', 'log', 'info', 'warn', 'error'] as const) {
    vi.spyOn(console, level).mockImplementation((message: unknown) => {
      said.push(`${level} ${message}`);
    });
  }
  new ChatSDK({ apiUrl: 'http://api.example.com' });
  expect(said.splice(0)).toEqual(['warn apiUrl is not encrypted: use https and wss.']);

  const scene = new ClientScene();
  const { sdk } = scene.client({ logger: undefined, onRefreshError: undefined });
  const { sid, ...given } = scene.server.mint();
  await sdk.connect({ userID: 'ann', token: given.accessToken, ...given });
  expect(said.splice(0)).toEqual([]);
  const session = scene.server.sessions.get(sid);
  if (session) session.revoked = true;
  await scene.device.advance(3_600_000);
  expect(said).toEqual(['error The session is over (session_revoked): sign in again.']);
});
