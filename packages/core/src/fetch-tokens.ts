/** Asks the app's own backend for tokens. */
import { FATAL_CODES, HostSessionEndedError } from './errors.ts';
import { supported } from './platform/web.ts';
import type { Tokens } from './tokens/types.ts';
import { isRecord, numberOf } from './values.ts';

/** How to ask. */
export interface FetchTokensOptions {
  /** Further headers, such as your own `Authorization`. */
  headers?: Record<string, string>;
  /** Sent as JSON, and as it is: where your backend takes no field that it does not know, not even `sentAt`, give `{}`. */
  body?: Readonly<Record<string, unknown>>;
  /**
   * When it was asked for, of what `refreshTokens` is called with; goes beside `body`. Default where there is no `body`:
   * now, or by the server's clock where that differs.
   */
  sentAt?: number;
  /** Gives the request up: of what `refreshTokens` is called with. */
  signal?: AbortSignal;
  /** Default: `include`, so that your backend gets its cookies. */
  credentials?: 'include' | 'same-origin' | 'omit';
  /** Default: the global one. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/**
 * Gets tokens by a POST from an endpoint of your backend that passes on what `POST /auth/tokens` or
 * `POST /auth/refresh` answered: `refreshTokens: (request) => fetchTokens('/api/chat/refresh', request)`.
 * @throws HostSessionEndedError where your backend answers 401 or 403 in JSON, as it does where nobody is signed in.
 * Pages of proxies, and refusals of its own calls to ChatSDK (a wrong API key), are failures that pass.
 */
export async function fetchTokens(url: string, options: FetchTokensOptions = {}): Promise<Tokens> {
  const { body: given, sentAt } = options;
  // With a body it may be a sign-in: that need not take what it does not know, nor bear to be asked twice.
  const ours = !given && sentAt === undefined;
  // biome-ignore lint/style/noRestrictedGlobals: this is the app's request, not the SDK's.
  const body = await ask(url, options, ours ? Date.now() : sentAt);
  // What the server says of the time is for the SDK to read, where that asked.
  if (!ours || !isStale(body)) return body as Tokens;
  const again = await ask(url, options, numberOf(body.serverTime));
  if (isStale(again)) throw new Error(`${url} answered 408`);
  return again as Tokens;
}

async function ask(url: string, options: FetchTokensOptions, sentAt: number | undefined): Promise<unknown> {
  // biome-ignore lint/style/noRestrictedGlobals: this is the app's request, not the SDK's.
  const fetch = options.fetch ?? globalThis.fetch;
  const response = await fetch(
    url,
    supported({
      method: 'POST',
      headers: { Accept: 'application/json', 'Content-Type': 'application/json', ...options.headers },
      body: JSON.stringify({ ...options.body, sentAt }),
      ...(options.signal && { signal: options.signal }),
      credentials: options.credentials ?? 'include',
      cache: 'no-store',
    }),
  );
  const { status } = response;
  const json = /^application\/([\w.-]+\+)?json\b/i.test(response.headers.get('content-type') ?? '');
  if (!json) throw new Error(`${url} answered ${status}, and not in JSON`);
  const body: unknown = await response.json();
  if (response.ok || isStale(body)) return body;
  if ((status === 401 || status === 403) && endsSession(body)) {
    throw new HostSessionEndedError(`${url} answered ${status}: nobody is signed in there.`, { status });
  }
  throw new Error(`${url} answered ${status}`);
}

/** ChatSDK takes it for a request that was on its way for long, or for one of another clock. */
function isStale(body: unknown): body is Record<string, unknown> {
  return isRecord(body) && body.code === 'request_stale';
}

/** Your backend's own refusal, or a final word of ChatSDK that it passed on; not a refusal of its API key. */
function endsSession(body: unknown): boolean {
  const passedOn = isRecord(body) && typeof body.code === 'string' && typeof body.requestId === 'string';
  return !passedOn || (FATAL_CODES as readonly unknown[]).includes(body.code);
}
