/** The dev server's stand-in for "your backend": hands out tokens to whoever asks, on this machine alone. */

/** Where the page finds the servers, and how long their tokens live. */
export interface Config {
  apiUrl: string;
  wsUrl: string;
  tokens: { accessTokenExpiry?: string; refreshTokenExpiry?: string };
}

/** What a backend forwards from `POST /auth/tokens`. */
export interface TokenReply {
  accessToken: string;
  refreshToken: string;
  expiresAt: number;
}

/** The settings of the running server. */
export async function fetchConfig(): Promise<Config> {
  return (await call('/dev/config')) as Config;
}

/** Tokens for `userId`, whose access token lives for `ttl` where one is asked for (`10s`, `1h`). */
export async function fetchTokens(userId: string, ttl: string | null): Promise<TokenReply> {
  const body = JSON.stringify({ userId, ...(ttl === null ? {} : { accessTokenExpiry: ttl }) });
  const headers = { 'Content-Type': 'application/json' };
  return (await call('/dev/token', { method: 'POST', headers, body })) as TokenReply;
}

async function call(path: string, init: RequestInit = {}): Promise<unknown> {
  const response = await fetch(path, { ...init, cache: 'no-store' });
  if (response.ok) return await response.json();
  const problem: unknown = await response.json().catch(() => null);
  const detail =
    typeof problem === 'object' && problem !== null && 'detail' in problem ? String(problem.detail) : '';
  throw new Error(detail || `${path} answered ${response.status}`);
}
