/** Reads what `createChatSDKServer` is given, once, and refuses what cannot work. */
import { setTimeout as delay } from 'node:timers/promises';
import { InvalidInputError } from './errors.ts';

/** The place that this runs in. */
export interface Runtime {
  /** The `fetch` that requests go through. */
  readonly fetch: typeof fetch;
  /** Milliseconds since the Unix epoch. */
  readonly wall: () => number;
  /** Milliseconds since some moment; never goes back. */
  readonly mono: () => number;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
  /** Resolves after `ms`; rejects with the reason of `signal` when that fires. */
  readonly wait: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/** What `createChatSDKServer` takes. */
export interface ChatSDKServerOptions {
  /** Address of the API. Default: the environment variable `CHATSDK_API_URL`. */
  apiUrl?: string | undefined;
  /**
   * Your API key, `csk_…`. Default: the environment variable `CHATSDK_API_KEY`. `null`: none, for a backend that
   * verifies tokens and should be able to do nothing else; calls that need a key throw an `InvalidInputError` then.
   */
  apiKey?: string | null | undefined;
  /** How long a call may take with all its retries, in ms. Default 8000: less than the SDKs wait for your backend. */
  timeoutMs?: number | undefined;
  /** How long one attempt may take, in ms. Default 4000. */
  attemptTimeoutMs?: number | undefined;
  /** How often a call is repeated after network failures, 5xx and 429. Default 3. */
  maxRetries?: number | undefined;
  /** The `iss` of access tokens: the deployment's `public_url`. Default: `apiUrl`. */
  issuer?: string | undefined;
  /** The app that access tokens have to be of; needed where the deployment has several. Default: any. */
  appId?: string | undefined;
  /** How far the clock of this machine may be off when access tokens are verified, in seconds. Default 10. */
  clockToleranceSeconds?: number | undefined;
  /** Replaces clock, chance or network, for tests and proxies. */
  runtime?: Partial<Runtime> | undefined;
}

/** The options, read. */
export interface Settings {
  readonly apiUrl: string;
  /** A function, so that no dump of the settings shows the key; null where there is none to be. */
  readonly apiKey: () => string | null;
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly maxRetries: number;
  readonly issuer: string;
  readonly appId: string | null;
  readonly clockToleranceSeconds: number;
  readonly runtime: Runtime;
}

/** The longest that a call may be given, in ms: timers of Node know no more than some weeks. */
const HOUR = 3_600_000;

// User info would travel in a header of its own, and a query would end up in the middle of addresses.
const ADDRESS = /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/i;

/** The settings that `options` and the environment amount to. */
export function readOptions(options: ChatSDKServerOptions): Settings {
  if (isPage()) {
    throw new InvalidInputError(
      'apiKey',
      'This package holds an API key and belongs on a backend, not in a page.',
    );
  }
  const apiUrl = options.apiUrl ?? process.env.CHATSDK_API_URL;
  if (typeof apiUrl !== 'string' || !ADDRESS.test(apiUrl)) {
    throw new InvalidInputError(
      'apiUrl',
      'apiUrl, or the environment variable CHATSDK_API_URL, has to be an http(s) address such as https://chat.example.com.',
    );
  }
  const apiKey = options.apiKey === null ? null : readKey(options.apiKey ?? process.env.CHATSDK_API_KEY);
  const base = apiUrl.replace(/\/+$/, '');
  return {
    apiUrl: base,
    apiKey: () => apiKey,
    timeoutMs: readNumber('timeoutMs', options.timeoutMs, 8_000, 1, HOUR),
    attemptTimeoutMs: readNumber('attemptTimeoutMs', options.attemptTimeoutMs, 4_000, 1, HOUR),
    maxRetries: readNumber('maxRetries', options.maxRetries, 3, 0, 100),
    // An environment variable that is set to nothing is as good as none.
    issuer: options.issuer || base,
    appId: readApp(options.appId),
    clockToleranceSeconds: readNumber('clockToleranceSeconds', options.clockToleranceSeconds, 10, 0, 3_600),
    runtime: {
      fetch: (input, init) => fetch(input, init),
      wall: () => Date.now(),
      mono: () => performance.now(),
      random: () => Math.random(),
      wait: (ms, signal) => delay(ms, undefined, { signal, ref: true }),
      ...options.runtime,
    },
  };
}

function readKey(key: unknown): string {
  if (typeof key !== 'string' || key === '') {
    throw new InvalidInputError('apiKey', 'apiKey, or the environment variable CHATSDK_API_KEY, is missing.');
  }
  // Checked here because fetch would refuse it with a message that quotes the key.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new InvalidInputError(
      'apiKey',
      'The API key holds white space or characters that no key has: was it read from a file, with the end of the line?',
    );
  }
  return key;
}

function readApp(appId: unknown): string | null {
  if (appId === undefined || appId === null) return null;
  if (typeof appId === 'string' && appId !== '') return appId;
  // Not "any": an environment variable that is set to nothing must not open the door to all apps.
  throw new InvalidInputError('appId', 'appId is the id of an app, or undefined for any.');
}

function readNumber(
  field: string,
  value: number | undefined,
  preset: number,
  least: number,
  most: number,
): number {
  const number = value ?? preset;
  if (typeof number !== 'number' || !(number >= least && number <= most)) {
    throw new InvalidInputError(field, `${field} has to be a number from ${least} to ${most}.`);
  }
  return number;
}

/** Whether this runs in a browser. A `document` alone is no sign: backends have one to render and to test with. */
function isPage(): boolean {
  const { process } = globalThis as { process?: { versions?: { node?: string }; type?: string } };
  return 'document' in globalThis && (process?.versions?.node === undefined || process.type === 'renderer');
}
