/**
 * What the routes of a backend answer, apart from any framework.
 *
 * The frontend reads these answers as it reads those of ChatSDK: only a problem document with a code that
 * ends the session means *sign in again*. Whatever is wrong between your backend and ChatSDK, an outage or a
 * revoked API key, is 503 or 500, never 401: nobody is signed out by it.
 */
import type { RefreshCookie } from './cookie.ts';
import { ApiError, ChatSDKError, isSessionEnded } from './errors.ts';
import type { ChatSDKServer } from './server.ts';
import type { TokenReply, TokenRequest } from './types.ts';

/** An answer to be sent. */
export interface Answer {
  readonly status: number;
  /** An object is sent as JSON, a string as text; null for none. */
  readonly body: Record<string, unknown> | TokenReply | Omit<TokenReply, 'refreshToken'> | string | null;
  /** `Set-Cookie` headers. */
  readonly cookies?: readonly string[];
  /** `Retry-After`, in seconds. */
  readonly retryAfter?: number;
  /** What went wrong, for your log. */
  readonly error?: unknown;
}

/** A cookie as a request holds it. */
export interface HeldCookie {
  readonly cookie: RefreshCookie;
  /** Its values: see `RefreshCookie.read`. */
  readonly values: readonly string[];
  /** The path that was asked for, from the root of the host. */
  readonly url: string;
}

/** Mints for a person whom the host knows. With a cookie, the refresh token goes there and nowhere else. */
export async function issue(
  chat: ChatSDKServer,
  user: TokenRequest | null | undefined,
  held: HeldCookie | null,
): Promise<Answer> {
  if (user === null || user === undefined) return { status: 401, body: { error: 'Unauthorized' } };
  try {
    const reply = await chat.generateToken(user);
    if (held === null) return { status: 200, body: reply };
    const cookies = [held.cookie.keep(reply), ...others(held)];
    return { status: 200, body: withoutRefreshToken(reply), cookies };
  } catch (error) {
    // Of what ChatSDK refuses here, this alone is about the person; the rest is about your backend.
    if (error instanceof ApiError && error.code === 'user_banned') return pass(error);
    return trouble(error);
  }
}

/** Exchanges the refresh token in the cookie; where its session is over, that of the next cookie of the name. */
export async function refresh(chat: ChatSDKServer, held: HeldCookie, said: unknown): Promise<Answer> {
  // What is no time of any clock was not said by the SDK.
  const sentAt = Number.isSafeInteger(said) ? (said as number) : undefined;
  let ended: ApiError | null = null;
  for (const refreshToken of held.values) {
    try {
      const reply = await chat.refresh(refreshToken, { sentAt });
      return { status: 200, body: withoutRefreshToken(reply), cookies: [held.cookie.keep(reply)] };
    } catch (error) {
      if (isSessionEnded(error)) {
        // What the page is told is of the cookie that counts.
        ended ??= error;
        continue;
      }
      if (error instanceof ApiError && error.code === 'request_stale' && sentAt !== undefined) {
        return pass(error);
      }
      return trouble(error);
    }
  }
  // The cookie stays: another tab may have signed in since this request left, and to remove it now would sign that
  // one out. What is in it is worth nothing any more.
  if (ended !== null) return pass(ended);
  return problem(401, 'refresh_token_invalid', 'There is no refresh token: sign in again.');
}

/** Ends the sessions of the cookie, of all that have its name, and removes them. */
export async function logout(chat: ChatSDKServer, held: HeldCookie): Promise<Answer> {
  // It goes even where ChatSDK cannot be told: whoever uses this browser next must not find it.
  const gone = { cookies: [held.cookie.remove(), ...others(held)] };
  let answer: Answer = { status: 204, body: null };
  for (const refreshToken of held.values) {
    try {
      await chat.revokeToken(refreshToken);
    } catch (error) {
      answer = trouble(error);
    }
  }
  return { ...answer, ...gone };
}

function others({ cookie, values, url }: HeldCookie): string[] {
  return values.length === 0 ? [] : cookie.removeOthers(url);
}

/**
 * What a request from somebody else's page is answered. Not in JSON: to the SDK, a 403 of its backend in JSON
 * says that nobody is signed in, and a forgotten `allowedOrigins` is no reason to sign people out.
 */
export function crossOrigin(): Answer {
  return { status: 403, body: 'Pages of this origin may not call this route: see allowedOrigins.' };
}

/** ChatSDK could not do it just now (503, 429), or never will without a change on your side (500). */
function trouble(error: unknown): Answer {
  if (!(error instanceof ChatSDKError)) throw error;
  if (error.retryable || error.code === 'foreign_answer' || error.code === 'request_stale') {
    const retryAfter = Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1_000));
    const limited = error.code === 'rate_limited';
    const answer = problem(
      limited ? 429 : 503,
      limited ? 'rate_limited' : 'unavailable',
      'The chat cannot be reached just now.',
      { retryAfterMs: retryAfter * 1_000 },
    );
    return { ...answer, retryAfter, error };
  }
  // No detail: it would tell the page about your API key.
  return { ...problem(500, 'internal', 'The chat is not set up correctly.'), error };
}

function pass(error: ApiError): Answer {
  const { httpStatus, code, message, requestId, serverTime } = error;
  return problem(httpStatus, code, message, { requestId, ...(serverTime === null ? {} : { serverTime }) });
}

function problem(status: number, code: string, detail: string, more: Record<string, unknown> = {}): Answer {
  return { status, body: { type: 'about:blank', title: detail, status, detail, code, ...more } };
}

function withoutRefreshToken(reply: TokenReply): Omit<TokenReply, 'refreshToken'> {
  const { refreshToken: _, ...rest } = reply;
  return rest;
}
