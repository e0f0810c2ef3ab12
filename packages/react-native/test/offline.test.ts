/** Starts without a network. R5, R51, C47. */
import { ChatSDK } from '@chatsdk/core';
import { expect, it } from 'vitest';
import { jwt } from '../../core/test/support/fake-server.ts';
import { reactNativePlatform } from '../src/platform.ts';
import { FakeNetInfo } from './support/net-info.ts';
import { FakeAppState } from './support/react-native.ts';

/** A socket that nobody answers. */
class Silent {
  close(): void {}
}

it('an app that starts without a network is signed in as soon as NetInfo says so', async () => {
  const netInfo = new FakeNetInfo();
  netInfo.become(false);
  // No time passes: nothing but NetInfo says that there is no connection to be waited for.
  const timers = { after: () => () => {} };
  const app = reactNativePlatform({ appState: new FakeAppState(), netInfo });
  const sdk = new ChatSDK({
    apiUrl: 'http://localhost:1',
    platform: { ...app, webSocket: Silent, timers },
  });
  const iat = Math.floor(Date.now() / 1_000);
  const token = jwt({}, { sub: 'ann', sid: 'ses_1', rc: 1, name: 'Ann', iat, exp: iat + 3_600 });
  const user = await sdk.connect({
    userID: 'ann',
    token,
    refreshToken: 'r',
    expiresAt: (iat + 3_600) * 1_000,
  });
  expect(user.name).toBe('Ann');
  expect(sdk.connectivity).toBe('offline');
  await sdk.disconnect();
});
