/** A day in the life of an app, run by the Hermes engine. Prints what it sees; the test outside judges. */
import { ChatSDK, type StoredTokens, secureStoreAdapter } from '../../src/index.ts';
import { FakeNetInfo } from '../support/net-info.ts';
import { AppState } from '../support/react-native.ts';
import { FakeSecureStore } from '../support/secure-store.ts';
import { Device, install } from './host.ts';
import { Server } from './server.ts';

declare function print(text: string): void;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const device = new Device();
const server = new Server(device);
const netInfo = new FakeNetInfo();
const secureStore = new FakeSecureStore();
const storage = secureStoreAdapter(secureStore, 'chat');
const told: string[] = [];
const errors: string[] = [];
const states: string[] = [];
/** What the client logs as an error: what it caught and should not have had to. */
const faults: string[] = [];

async function report(step: string): Promise<void> {
  // Before the look at the storage, whose turn has a timer of its own.
  const timers = device.timers.size;
  await device.settle();
  const stored = (await storage.get()) as StoredTokens | null;
  const { calls, connects } = server;
  print(
    JSON.stringify({
      step,
      state: sdk.connectivity,
      user: sdk.user?.id ?? null,
      calls: calls.splice(0),
      connects: connects.splice(0).length,
      told: told.splice(0),
      errors: errors.splice(0),
      states: states.splice(0),
      faults: faults.splice(0),
      stored: stored?.refreshToken ?? null,
      items: secureStore.items.size,
      timers,
      listeners: AppState.listeners.size + netInfo.listeners.size,
    }),
  );
}

// The engine that people run has none of these, or not all of them.
const missing = [
  'document',
  'crypto',
  'structuredClone',
  'TextDecoder',
  'TextEncoder',
  'URL',
  'Intl',
  'Event',
]
  .concat(['EventTarget', 'BroadcastChannel', 'localStorage', 'queueMicrotask', 'atob', 'Buffer', 'process'])
  .filter((name) => name in globalThis);

install(device, server.fetch, server.webSocket);
let sdk = start();

function start(): ChatSDK {
  const made = new ChatSDK({
    apiUrl: 'https://chat.example.com',
    wsUrl: 'wss://chat.example.com/ws',
    netInfo,
    storage,
    logger: { debug() {}, warn() {}, error: (text) => void faults.push(text) },
    onTokenRefresh: (tokens) => void told.push(tokens.refreshToken),
    onRefreshError: (error) => void errors.push(error.message),
  });
  made.on('connectivity', ({ state }) => void states.push(state));
  return made;
}

function goOnline(online: boolean): void {
  server.reachable = online;
  if (!online) server.drop();
  netInfo.become(online);
}

async function day(): Promise<void> {
  print(JSON.stringify({ step: 'engine', missing, timers: device.timers.size }));

  const { accessToken, refreshToken, expiresAt } = server.mint();
  await sdk.connect({ userID: 'ann', token: accessToken, refreshToken, expiresAt });
  await report('connected');

  await device.advance(54 * MINUTE);
  await report('before it is due');
  await device.advance(2 * MINUTE);
  await report('refreshed');

  AppState.become('background');
  device.sleep(8 * HOUR);
  server.drop();
  AppState.become('active');
  await device.advance(30_000);
  await report('resumed');

  goOnline(false);
  await device.advance(2 * HOUR);
  await report('offline for two hours');
  goOnline(true);
  await device.advance(30_000);
  await report('online again');

  AppState.become('background');
  device.sleep(90 * MINUTE);
  goOnline(false);
  AppState.become('active');
  await device.advance(MINUTE);
  await report('in airplane mode');
  goOnline(true);
  await device.advance(30_000);
  await report('landed');

  device.stall(65 * MINUTE);
  await device.advance(30_000);
  await report('timers came late');

  await sdk.disconnect();
  goOnline(false);
  device.sleep(3 * HOUR);
  sdk = start();
  const saved = (await storage.get()) as StoredTokens & { accessToken: string };
  await sdk.connect({ ...saved, token: saved.accessToken });
  await report('started offline');
  goOnline(true);
  await device.advance(30_000);
  await report('started, then online');

  await sdk.logout();
  await device.advance(MINUTE);
  await report('logged out');
}

day().then(
  () => print(JSON.stringify({ step: 'end' })),
  (error: unknown) => print(JSON.stringify({ step: 'failed', error: String(error) })),
);
