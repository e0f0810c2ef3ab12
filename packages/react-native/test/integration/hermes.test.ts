/**
 * The package on a real Hermes engine: bundled as an app would bundle it, lowered by React Native's own Babel
 * preset, and run by the VM. The VM is that of React Native 0.70, the oldest that is still met and therefore
 * the strictest; what it cannot do (classes, private members), the preset's `default` profile translates.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transformAsync } from '@babel/core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';

interface Report {
  readonly step: string;
  readonly state: string | null;
  readonly user: string | null;
  readonly calls: readonly { path: string; refreshToken: string }[];
  readonly connects: number;
  readonly told: readonly string[];
  readonly errors: readonly string[];
  readonly states: readonly string[];
  readonly faults: readonly string[];
  readonly stored: string | null;
  readonly items: number;
  readonly timers: number;
  readonly listeners: number;
  readonly missing: readonly string[];
}

const require = createRequire(import.meta.url);
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

let directory: string;
let reports: readonly Report[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chatsdk-hermes-'));
  const program = join(directory, 'app.js');
  await writeFile(program, await lower(await bundle()));
  const { stdout } = await promisify(execFile)(hermes(), [program], { maxBuffer: 1 << 24 });
  reports = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Report);
});
afterAll(async () => await rm(directory, { recursive: true, force: true }));

async function bundle(): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    resolve: {
      conditions: ['@chatsdk/source', 'import', 'module', 'default'],
      alias: { 'react-native': here('../support/react-native.ts') },
    },
    build: {
      write: false,
      minify: false,
      target: 'esnext',
      lib: { entry: here('../hermes/scenario.ts'), formats: ['iife'], name: 'scenario' },
    },
  });
  const [output] = Array.isArray(result) ? result : [result];
  if (output === undefined || !('output' in output)) throw new Error('nothing was built');
  return output.output[0].code;
}

async function lower(code: string): Promise<string> {
  const preset = require.resolve('@react-native/babel-preset');
  const options = { unstable_transformProfile: 'default', enableBabelRuntime: false, dev: false };
  const lowered = await transformAsync(code, {
    babelrc: false,
    configFile: false,
    compact: false,
    sourceType: 'script',
    filename: 'app.js',
    presets: [[preset, options]],
  });
  if (!lowered?.code) throw new Error('nothing was lowered');
  return lowered.code;
}

/** The VM for this machine. */
function hermes(): string {
  const folder = { darwin: 'osx-bin', linux: 'linux64-bin', win32: 'win64-bin' }[process.platform as string];
  if (folder === undefined) throw new Error(`hermes-engine-cli has no VM for ${process.platform}`);
  return join(dirname(require.resolve('hermes-engine-cli/package.json')), folder, 'hermes');
}

function at(step: string): Report {
  const found = reports.find((report) => report.step === step);
  if (found === undefined) throw new Error(`no "${step}" among ${JSON.stringify(reports)}`);
  return found;
}

it('runs to the end, on an engine without the globals of browsers', () => {
  expect(at('engine')).toMatchObject({ missing: [], timers: 0 });
  expect(reports.at(-1)).toEqual({ step: 'end' });
  expect(reports.flatMap((report) => report.faults ?? [])).toEqual([]);
});

it('connects, and knows the user', () => {
  expect(at('connected')).toMatchObject({
    state: 'connected',
    user: 'ann',
    calls: [],
    connects: 1,
    items: 3,
  });
});

it('refreshes when it is due, once, saves the pair and tells the app', () => {
  expect(at('before it is due')).toMatchObject({ calls: [], told: [], stored: 'refresh-1' });
  expect(at('refreshed')).toMatchObject({
    state: 'connected',
    calls: [{ path: '/auth/refresh', refreshToken: 'refresh-1' }],
    told: ['refresh-2'],
    stored: 'refresh-2',
    items: 3,
    states: [],
  });
});

it('is back after a night in the background', () => {
  expect(at('resumed')).toMatchObject({
    state: 'connected',
    calls: [{ path: '/auth/refresh', refreshToken: 'refresh-2' }],
    stored: 'refresh-3',
    connects: 1,
    errors: [],
  });
});

it('keeps the session through two hours without a network', () => {
  const offline = at('offline for two hours');
  expect(offline).toMatchObject({ state: 'offline', user: 'ann', stored: 'refresh-3', calls: [] });
  expect(offline.errors).toHaveLength(1);
  expect(offline.errors[0]).toMatch(/^Network/);
  expect(at('online again')).toMatchObject({ state: 'connected', stored: 'refresh-4', errors: [] });
});

it('comes back in airplane mode without a word, and refreshes once when there is a network', () => {
  expect(at('in airplane mode')).toMatchObject({ state: 'offline', user: 'ann', calls: [], errors: [] });
  expect(at('landed')).toMatchObject({
    state: 'connected',
    calls: [{ path: '/auth/refresh', refreshToken: 'refresh-4' }],
    stored: 'refresh-5',
    errors: [],
  });
});

it('bears timers that come after the token has expired', () => {
  expect(at('timers came late')).toMatchObject({
    state: 'connected',
    calls: [{ path: '/auth/refresh', refreshToken: 'refresh-5' }],
    stored: 'refresh-6',
    errors: [],
  });
});

it('starts offline with a token that expired, and goes on when there is a network', () => {
  expect(at('started offline')).toMatchObject({
    state: 'offline',
    user: 'ann',
    stored: 'refresh-6',
    errors: [],
  });
  expect(at('started, then online')).toMatchObject({
    state: 'connected',
    calls: [{ path: '/auth/refresh', refreshToken: 'refresh-6' }],
    stored: 'refresh-7',
  });
});

it('logs out: revokes, removes the tokens, and leaves nothing running', () => {
  expect(at('logged out')).toMatchObject({
    state: null,
    user: null,
    calls: [{ path: '/auth/revoke', refreshToken: 'refresh-7' }],
    stored: null,
    items: 1,
    timers: 0,
    listeners: 0,
  });
});
