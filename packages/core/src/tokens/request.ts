/** Asks for the next pair, and says in one word what the answer means for the session. */
import { FATAL_CODES, type FatalCode, type RefreshErrorKind } from '../errors.ts';
import { REQUEST_TIMEOUT, send } from '../http.ts';
import type { Clock, Platform } from '../platform/platform.ts';
import { isRecord, textOf } from '../values.ts';
import { within } from '../within.ts';
import type { FatalReason, RefreshTokens } from './events.ts';
import { type Clocks, pairFromReply } from './pair.ts';
import type { Pair } from './types.ts';

/** A reply that took longer may be older than what another tab has got since; it is asked for again. */
const STALE_REPLY = 15_000;

/** The moment that a refresh began at. */
export interface Stamp {
  /** By the estimate of the server's clock, in whole ms: `sentAt`. */
  readonly server: number;
  /** By the device's clocks, in ms. */
  readonly wall: number;
  readonly mono: number;
}

/** This moment. */
export function stampOf({ device, server }: Clocks): Stamp {
  return { server: Math.round(server.now()), wall: device.wall(), mono: device.mono() };
}

/** Whether what was asked for at `stamp` is too old to be kept, by either clock of the device. */
export function isLate(stamp: Stamp, clock: Clock): boolean {
  return Math.max(clock.wall() - stamp.wall, clock.mono() - stamp.mono) > STALE_REPLY;
}

/** Why there is no new pair, though the session may well be alive. */
export interface Trouble {
  readonly kind: Exclude<RefreshErrorKind, 'fatal'>;
  /** What stands in the way, for people. */
  readonly reason: string;
  /** The server asked not to be tried again for this long, in ms. */
  readonly retryAfterMs: number;
  readonly status: number | null;
  readonly requestId: string | null;
  readonly cause?: unknown;
}

export interface Troubled {
  readonly kind: 'trouble';
  readonly trouble: Trouble;
}

/** What the answer means. */
export type Verdict =
  | { readonly kind: 'pair'; readonly pair: Pair }
  | {
      readonly kind: 'fatal';
      readonly code: FatalReason;
      readonly status: number | null;
      readonly requestId: string | null;
    }
  | { readonly kind: 'again'; readonly reason: string }
  | Troubled;

/** Presents `refreshToken` at `POST /auth/refresh`. */
export async function requestPair(
  platform: Platform,
  apiUrl: string,
  userID: string,
  refreshToken: string,
  clocks: Clocks,
  stamp: Stamp,
  signal: AbortSignal,
): Promise<Verdict> {
  const body = { refreshToken, sentAt: stamp.server };
  const url = `${apiUrl}/auth/refresh`;
  const answer = await send(platform, 'POST', url, { body, signal });
  // Nothing of ours is at this address.
  if (answer.kind !== 'failed' && (answer.status === 404 || answer.status === 405)) {
    return troubled('configuration', `${url} answered ${answer.status}: check apiUrl`, answer);
  }
  switch (answer.kind) {
    case 'failed':
      return troubled('network', 'nothing answered', answer);
    case 'foreign': {
      const { status } = answer;
      const kind = status < 300 ? 'protocol' : 'network';
      return troubled(kind, `status ${status}, but not from the server`, answer);
    }
    case 'problem': {
      const { code, status, sentWall, tookMs } = answer;
      const word = wordOf({ ...answer.body, status }, clocks, sentWall, tookMs);
      if (word) return word;
      // 400, 413, 415: the server did not understand the request.
      const kind = [400, 413, 415].includes(status) ? 'protocol' : 'network';
      return troubled(kind, `status ${status} (${code})`, answer);
    }
    case 'ok': {
      const { body } = answer;
      if (isLate(stamp, clocks.device)) return { kind: 'again', reason: 'the reply came too late' };
      if (isRecord(body)) clocks.server.learn(body.serverTime, answer.sentWall, answer.tookMs);
      const pair = pairFromReply(userID, body, clocks, false);
      return typeof pair === 'string' ? troubled('protocol', pair, answer) : { kind: 'pair', pair };
    }
  }
}

/**
 * Asks the host's own function, for hosts that keep the refresh token on their backend. Only two things end the
 * session: a `HostSessionEndedError`, and our server's own final word that the backend passed on.
 */
export async function requestFromHost(
  { timers }: Platform,
  refreshTokens: RefreshTokens,
  userID: string,
  clocks: Clocks,
  stamp: Stamp,
  outer: AbortSignal,
): Promise<Verdict> {
  try {
    const body: unknown = await within(
      timers,
      REQUEST_TIMEOUT,
      (signal) => refreshTokens({ sentAt: stamp.server, signal }),
      outer,
    );
    const tookMs = clocks.device.wall() - stamp.wall;
    const word = isRecord(body) && wordOf(body, clocks, stamp.wall, tookMs);
    if (word) return word;
    const pair = pairFromReply(userID, body, clocks, true);
    if (typeof pair !== 'string') {
      // It was made a moment ago, whatever this device takes for the time.
      clocks.server.learn(pair.tokens.expiresAt - pair.left, clocks.device.wall(), 0);
      return { kind: 'pair', pair };
    }
    return troubled('protocol', `refreshTokens: ${pair}`);
  } catch (cause) {
    // By its code, because the error may come from another copy of this package.
    if (isRecord(cause) && cause.code === ('host_session_ended' satisfies FatalReason)) {
      return { kind: 'fatal', code: 'host_session_ended', status: null, requestId: null };
    }
    return troubled('network', 'refreshTokens failed', { cause });
  }
}

/** What a refusal of our server's says of the session, or null where it says nothing of it. */
function wordOf(
  { code, status, requestId, serverTime }: Record<string, unknown>,
  { server }: Clocks,
  sentWall: number,
  tookMs: number,
): Verdict | null {
  if (code === 'request_stale') {
    // It was not old, or another one can be sent: with the server's time, which the refusal tells.
    server.learn(serverTime, sentWall, tookMs);
    return { kind: 'again', reason: 'the clock was wrong' };
  }
  if ((status !== 401 && status !== 403) || !(FATAL_CODES as readonly unknown[]).includes(code)) return null;
  return { kind: 'fatal', code: code as FatalCode, status, requestId: textOf(requestId) ?? null };
}

/** Trouble of this kind; `answer` stands behind it, where anything does. */
export function troubled(
  kind: Trouble['kind'],
  reason: string,
  answer: { status?: number; requestId?: string | null; retryAfterMs?: number; cause?: unknown } = {},
): Troubled {
  const { status = null, requestId = null, retryAfterMs = 0, cause } = answer;
  return { kind: 'trouble', trouble: { kind, reason, retryAfterMs, status, requestId, cause } };
}
