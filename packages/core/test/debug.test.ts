/** What `debugAuth` tells, and addresses that are open to everybody. R78, R96, C45. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientScene } from './support/client-scene.ts';
import { sharedStorage } from './support/fake-platform.ts';
import { HOUR, MINUTE } from './support/scene.ts';

let scene: ClientScene;
beforeEach(() => {
  scene = new ClientScene();
});
afterEach(() => scene.end());

describe('debugAuth', () => {
  it('before a connect says that there is nothing', () => {
    expect(scene.client().sdk.debugAuth()).toEqual({
      apiUrl: 'http://localhost:5500',
      wsUrl: 'ws://localhost:5500/connection/websocket',
      connectivity: null,
      auth: null,
    });
  });

  it('tells how tokens, clocks and storage stand', async () => {
    const { sdk } = scene.client();
    const given = scene.input();
    await sdk.connect(given);
    await scene.device.advance(10 * MINUTE);
    expect(sdk.debugAuth()).toMatchObject({
      connectivity: 'connected',
      auth: {
        userID: 'ann',
        sid: given.sid,
        state: 'valid',
        expiresAt: given.expiresAt,
        expiresInMs: 50 * MINUTE,
        refreshInMs: 45 * MINUTE + 15_000,
        refreshing: false,
        failures: 0,
        refreshToken: 'here',
        storage: { kind: 'platform', error: null },
        serverClockAheadMs: 0,
        online: true,
        visible: true,
        lastError: null,
      },
    });
  });

  it('tells of an outage, and still of its last error when it is over', async () => {
    const { sdk } = scene.client();
    await sdk.connect(scene.input());
    scene.server.intercept = () => {
      throw new TypeError('Failed to fetch');
    };
    await scene.device.advance(2 * HOUR);
    const during = sdk.debugAuth().auth;
    expect(during).toMatchObject({ state: 'expired', lastError: { code: 'network', status: null } });
    expect(during?.failures).toBeGreaterThan(5);
    expect(during?.refreshInMs).toBeGreaterThan(0);
    expect(during?.refreshInMs).toBeLessThanOrEqual(60_000);
    scene.server.intercept = () => undefined;
    scene.device.goOnline(true);
    await scene.device.advance(3_000);
    const after = sdk.debugAuth().auth;
    expect(after).toMatchObject({ state: 'valid', failures: 0, lastError: { code: 'network' } });
  });

  it('tells what the storage fails with, and no secret, whatever goes wrong', async () => {
    const given = scene.input();
    const storage = {
      ...sharedStorage(),
      set: () => {
        throw new Error(`could not write ${given.token}`);
      },
    };
    const { sdk } = scene.client({ storage });
    await sdk.connect(given);
    scene.server.intercept = () => {
      throw new TypeError(`could not send ${given.refreshToken} with csk_live_abc`);
    };
    await scene.device.advance(2 * HOUR);
    const report = sdk.debugAuth();
    expect(report.auth?.storage).toMatchObject({ kind: 'given' });
    expect(report.auth?.storage.error).toContain('Token storage');
    expect(JSON.stringify(report)).not.toMatch(/eyJ|csk_/);
  });
});

describe('strict', () => {
  it.each([
    ['http://chat.example.com', undefined],
    ['http://localhost:5500', 'ws://chat.example.com/ws'],
    ['http://8.8.8.8:5500', undefined],
    ['http://172.32.0.1', undefined],
    ['http://10.0.0.7.example.com', undefined],
    ['http://[fe80::1]', undefined],
  ])('refuses %s with %s, of which it is warned without', (apiUrl, wsUrl) => {
    expect(() => scene.client({ apiUrl, wsUrl, strict: true })).toThrow('not encrypted');
    expect(scene.client({ apiUrl, wsUrl }).lines.join()).toContain('not encrypted');
  });

  it.each([
    'http://localhost:5500',
    'http://127.0.0.1',
    'http://[::1]:5500',
    'http://10.0.0.7',
    'http://172.31.0.1',
    'http://192.168.1.4',
    'http://[fd00::1]:5500',
    'http://chat.localhost',
    'http://chat.local',
    'https://a.example',
  ])('lets %s be', (apiUrl) => {
    expect(scene.client({ apiUrl, strict: true }).lines).toEqual([]);
  });

  it('or not, tokens that the API gets in secret go through no open socket', () => {
    const options = { apiUrl: 'https://chat.example.com', wsUrl: 'ws://chat.example.com/ws' };
    expect(() => scene.client(options)).toThrow('wsUrl is not encrypted');
  });
});
