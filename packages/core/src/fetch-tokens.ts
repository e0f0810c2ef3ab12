/** Asks the app's own backend for tokens. */
import { FATAL_CODES, HostSessionEndedError } from './errors.ts';
import { supported } from './platform/web.ts';
import type { Tokens } from './tokens/types.ts';
import { isRecord } from './values.ts';

/** How to ask. */
export interface FetchTokensOptions {
  /** Further headers, such as your own `Authorization`. */
  headers?: Record<string, string>;
  /** Sent as JSON, beside `sentAt`. */
  body?: Readonly<Record<string, unknown>>;
  /** When it was asked for: of what `refreshTokens` is called with. */
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
  // biome-ignore lint/style/noRestrictedGlobals: this is the app's request, not the SDK's.
  const fetch = options.fetch ?? globalThis.fetch;
  const response = await fetch(
    url,
    supported({
      method: 'POST',
      headers: { Accept: 'application/json', 'Content-Type': 'application/json', ...options.headers },
      body: JSON.stringify({ ...options.body, sentAt: options.sentAt }),
      ...(options.signal && { signal: options.signal }),
      credentials: options.credentials ?? 'include',
      cache: 'no-store',
    }),
  );
  const { status } = response;
  const json = /^application\/([\w.-]+\+)?json\b/i.test(response.headers.get('content-type') ?? '');
  if (!json) throw new Error(`${url} answered ${status}, and not in JSON`);
  const body: unknown = await response.json();
  // That the request was on its way for long is for the SDK to read.
  if (response.ok || (isRecord(body) && body.code === 'request_stale')) return body as Tokens;
  if ((status === 401 || status === 403) && endsSession(body)) {
    throw new HostSessionEndedError(`${url} answered ${status}: nobody is signed in there.`, { status });
  }
  throw new Error(`${url} answered ${status}`);
}

/** Your backend's own refusal, or a final word of ChatSDK that it passed on; not a refusal of its API key. */
function endsSession(body: unknown): boolean {
  const passedOn = isRecord(body) && typeof body.code === 'string' && typeof body.requestId === 'string';
  return !passedOn || (FATAL_CODES as readonly unknown[]).includes(body.code);
}
