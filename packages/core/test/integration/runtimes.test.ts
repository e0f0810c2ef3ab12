/** What `npm run build` made, in each runtime that there is: the same program against the real server. */
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { Binary } from '../support/binary.ts';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const run = promisify(execFile);
const require = createRequire(import.meta.url);
const DENO = ['run', '--allow-net', '--allow-env', '--node-modules-dir=manual'];
const bin = (name: string, path: string): string =>
  join(dirname(require.resolve(`${name}/package.json`)), path);

let server: Binary;
let directory: string;

beforeAll(async () => {
  server = await Binary.start('serve');
  // Inside the workspace, so that the package is found by its name from there.
  await mkdir(join(ROOT, 'target'), { recursive: true });
  directory = await mkdtemp(join(ROOT, 'target', 'runtimes-'));
});
afterAll(async () => {
  await server?.dispose();
  if (directory) await rm(directory, { recursive: true });
});

/** Connects, lives through two refreshes, asks, leaves, and has nothing left that would keep a process alive. */
const PROGRAM = `
  const told = [];
  const ends = [];
  let enough;
  const refreshed = new Promise((resolve) => { enough = resolve; });
  const sdk = new ChatSDK({
    apiUrl, wsUrl, platform,
    onTokenRefresh: () => { told.push(1); if (told.length === 2) enough(); },
  });
  sdk.on('sessionEnded', ({ reason }) => ends.push(reason));
  const user = await sdk.connect(input);
  const connected = sdk.connectivity;
  await refreshed;
  const { sessions } = await sdk.request('GET', '/auth/sessions');
  await sdk.logout();
  return { user: user.id, connected, told: told.length, sessions: sessions.length, ends, shared: Symbol.for('chatsdk.shared.1') in globalThis };
`;

async function input(userID: string): Promise<Record<string, unknown>> {
  const { accessToken, refreshToken, expiresAt } = await server.mint(userID, { accessTokenExpiry: '2s' });
  return { userID, token: accessToken, refreshToken, expiresAt };
}

const WANTED = (user: string) => ({
  user,
  connected: 'connected',
  told: 2,
  sessions: 1,
  ends: [],
  shared: false,
});

describe.each([
  ['node', process.execPath, [], `import ws from 'ws'; const platform = { webSocket: ws };`],
  ['deno', bin('deno', 'bin.cjs'), DENO, 'const platform = {};'],
  ['bun', bin('bun', 'bin/bun.exe'), [], 'const platform = {};'],
])('%s', (name, command, args, prologue) => {
  it('connects, refreshes, asks, leaves and ends', async () => {
    const file = join(directory, `${name}.mjs`);
    const known = { apiUrl: server.api, wsUrl: server.realtime, input: await input(name) };
    await writeFile(
      file,
      `import { ChatSDK } from '@chatsdk/core';
       ${prologue}
       const { apiUrl, wsUrl, input } = ${JSON.stringify(known)};
       const result = await (async () => { ${PROGRAM} })();
       console.log(JSON.stringify(result));`,
    );
    const [executable, first] = command.endsWith('.cjs') ? [process.execPath, [command]] : [command, []];
    const { stdout } = await run(executable, [...first, ...args, file], { cwd: ROOT, timeout: 50_000 });
    expect(JSON.parse(stdout)).toEqual(WANTED(name));
  });
});

describe.each([
  ['node', [process.execPath], `import ws from 'ws'; const platform = { webSocket: ws };`],
  ['deno', [process.execPath, bin('deno', 'bin.cjs'), ...DENO], 'const platform = {};'],
  ['bun', [bin('bun', 'bin/bun.exe')], 'const platform = {};'],
])('%s, in an outage that outlives the token', (name, [executable = '', ...args], prologue) => {
  let own: Binary;
  beforeAll(async () => {
    own = await Binary.start('serve');
  });
  afterAll(async () => {
    await own?.dispose();
  });

  /** Runs `program` until it ends by itself, and answers what it said. The server comes back at the third `trouble`. */
  async function outlive(program: (given: unknown) => string, listen: (line: string) => Promise<void>) {
    const { accessToken, refreshToken, expiresAt } = await own.mint(name, { accessTokenExpiry: '2s' });
    const file = join(directory, `outage-${name}.mjs`);
    const logger = `{ debug() {}, warn: () => console.log('trouble'), error: console.error }`;
    await writeFile(
      file,
      `import { ChatSDK, TokenManager } from '@chatsdk/core';
       ${prologue}
       const options = { apiUrl: '${own.api}', wsUrl: '${own.realtime}', platform, logger: ${logger} };
       ${program({ accessToken, refreshToken, expiresAt })}`,
    );
    await listen('');
    const child = spawn(executable, [...args, file], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    const heard: string[] = [];
    const ended = new Promise((resume) => child.once('exit', resume));
    for await (const line of createInterface(child.stdout)) {
      heard.push(line);
      await listen(line);
      // The first may come while the token is still good.
      if (line === 'trouble' && heard.filter((one) => one === line).length === 3) await own.run();
    }
    expect(await ended).toBe(0);
    return heard;
  }

  /** Connects, and logs out when it is connected for the `nth` time. */
  const client = (nth: number) => (given: unknown) =>
    `
    const { accessToken: token, ...given } = ${JSON.stringify(given)};
    const sdk = new ChatSDK(options);
    let times = 0;
    sdk.on('connectivity', async ({ state }) => {
      console.log(state);
      if (state === 'connected' && ++times === ${nth}) await sdk.logout();
    });
    sdk.connect({ userID: '${name}', token, ...given });`;

  it('a client that is connected does not end by itself', async () => {
    let once = false;
    const heard = await outlive(client(2), async (line) => {
      if (line === 'connected' && !once) await own.kill();
      once ||= line === 'connected';
    });
    expect(heard.at(-1)).toBe('connected');
  });

  it('nor does one that begins in it', async () => {
    const heard = await outlive(client(1), async (line) => {
      if (line === '') await own.kill();
    });
    expect(heard.at(-1)).toBe('connected');
  });

  it('nor does what waits for a token, without a client', async () => {
    const program = (given: unknown) => `
      const given = ${JSON.stringify(given)};
      const { apiUrl, logger } = options;
      const manager = new TokenManager({ apiUrl, logger, userID: '${name}' });
      await manager.start(given);
      console.log(given.accessToken === await manager.tokenOtherThan(given.accessToken) ? 'same' : 'another');`;
    const heard = await outlive(program, async (line) => {
      if (line === '') await own.kill();
    });
    // Nobody stopped it: what waits for nothing keeps no process.
    expect(heard.at(-1)).toBe('another');
  });
});

/** The package as one script. */
async function bundle(format: 'es' | 'iife'): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      lib: { entry: join(ROOT, 'packages/core/dist/index.js'), formats: [format], name: 'chatsdk' },
    },
  });
  const outputs = [built].flat().flatMap((one) => ('output' in one ? one.output : []));
  return outputs.map((one) => (one.type === 'chunk' ? one.code : '')).join('');
}

it('workerd, where whatever does I/O or sets a timer at import is refused', async () => {
  const place = join(directory, 'workerd');
  await mkdir(place);
  const known = { apiUrl: server.api, wsUrl: server.realtime, input: await input('workerd') };
  const files = {
    'chatsdk.mjs': await bundle('es'),
    'before.mjs': 'export const before = Object.getOwnPropertyNames(globalThis);',
    'main.mjs': `
      import { before } from './before.mjs';
      import { ChatSDK } from './chatsdk.mjs';
      const added = Object.getOwnPropertyNames(globalThis).filter((name) => !before.includes(name));
      const early = new ChatSDK({ apiUrl: 'https://chat.example.com' });
      const platform = {};
      const { apiUrl, wsUrl, input } = ${JSON.stringify(known)};
      export default {
        async test() {
          const result = await (async () => { ${PROGRAM} })();
          console.log(JSON.stringify({ ...result, added, early: early.user }));
        },
      };`,
    'config.capnp': `
      using Workerd = import "/workerd/workerd.capnp";
      const config :Workerd.Config = (services = [
        (name = "main", worker = (compatibilityDate = "2026-11-01", modules = [
          (name = "main.mjs", esModule = embed "main.mjs"),
          (name = "before.mjs", esModule = embed "before.mjs"),
          (name = "chatsdk.mjs", esModule = embed "chatsdk.mjs"),
        ])),
        (name = "internet", network = (allow = ["local", "private"])),
      ]);`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(place, name), text);
  const workerd = require('workerd') as { default: string };
  const { stdout } = await run(workerd.default, ['test', join(place, 'config.capnp')], { timeout: 50_000 });
  expect(JSON.parse(stdout)).toEqual({ ...WANTED('workerd'), added: [], early: null });
});

describe('an edge runtime, which has the globals of the web and no others', () => {
  /** The package, and a world without Node, a window, a document or a navigator. */
  async function world(
    more: Record<string, unknown>,
  ): Promise<{ evaluate(code: string): unknown; timers: number[] }> {
    const timers: number[] = [];
    const context = createContext({
      setTimeout: (fn: () => void, ms: number) => {
        timers.push(ms);
        return setTimeout(fn, ms);
      },
      clearTimeout,
      ...more,
    });
    const evaluate = (text: string): unknown => runInContext(text, context);
    evaluate('globalThis.before = Object.getOwnPropertyNames(globalThis).join()');
    // A declaration of the script's own, and nothing beside it.
    evaluate(`${await bundle('iife')}; globalThis.lib = chatsdk;`);
    return { evaluate, timers };
  }

  it('imports and constructs with nothing there at all, and changes nothing', async () => {
    const { evaluate, timers } = await world({});
    const state = evaluate(`
      const sdk = new lib.ChatSDK({ apiUrl: 'https://chat.example.com' });
      JSON.stringify({ sdk, user: sdk.user, symbols: Object.getOwnPropertySymbols(globalThis).length })`);
    expect(JSON.parse(String(state))).toMatchObject({ user: null, symbols: 0 });
    const added = evaluate(`
      Object.getOwnPropertyNames(globalThis).filter((name) => !before.split(',').includes(name)).join()`);
    expect(String(added).split(',').sort()).toEqual(['before', 'chatsdk', 'lib']);
    expect(timers).toEqual([]);
  });

  it('connects, refreshes, asks and leaves', async () => {
    const web = { AbortController, Event, EventTarget, TextDecoder, TextEncoder, URL, fetch, performance };
    const { evaluate } = await world({ ...web, WebSocket, queueMicrotask, clearInterval, setInterval });
    const known = { apiUrl: server.api, wsUrl: server.realtime, input: await input('edge') };
    const work = evaluate(`(async () => {
      const { ChatSDK } = lib;
      const platform = {};
      const { apiUrl, wsUrl, input } = ${JSON.stringify(known)};
      ${PROGRAM}
    })()`);
    // As text, because the objects of another realm are of other classes.
    expect(JSON.parse(JSON.stringify(await work))).toEqual(WANTED('edge'));
  });
});
