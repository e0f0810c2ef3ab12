/** Makes pairs out of what a host, a server or a storage gave, or refuses. */

import type { Clock } from '../platform/platform.ts';
import { readUser, type User } from '../user.ts';
import { isRecord, numberOf, textOf } from '../values.ts';
import { readExpiry } from './input.ts';
import { readClaims } from './jwt.ts';
import type { ServerClock } from './server-clock.ts';
import type { StoredTokens } from './storage.ts';
import type { Pair, Tokens } from './types.ts';

/** The clocks that a pair is measured by. */
export interface Clocks {
  readonly device: Clock;
  readonly server: ServerClock;
}

interface Origin {
  /** The whole life of the access token in ms, where the reply says it. */
  ttl?: number | undefined;
  /** How much of it is left, in ms, where that is better known than by comparing clocks. */
  left?: number | undefined;
  /** When it was received, device wall ms; worked out from the token where absent. */
  receivedAt?: number | undefined;
  user?: User | undefined;
}

/** A pair whose access token is a JWT of `userID`, or null. */
export function makePair(userID: string, tokens: Tokens, clocks: Clocks, origin: Origin = {}): Pair | null {
  const claims = readClaims(tokens.accessToken);
  if (claims === null || claims.sub !== userID) return null;
  const { device, server } = clocks;
  const serverNow = server.now();
  const life = (claims.exp ?? 0) - (claims.iat ?? Number.POSITIVE_INFINITY);
  const ttl = origin.ttl ?? (life > 0 ? life * 1_000 : Math.max(1_000, tokens.expiresAt - serverNow));
  // A device whose clock is behind would think that the token lives longer than it ever did.
  const left = Math.min(ttl, origin.left ?? tokens.expiresAt - serverNow);
  const anchor = { wall: device.wall(), mono: device.mono() };
  return {
    tokens,
    sid: claims.sid,
    rank: rankOf(tokens),
    ttl,
    receivedAt: origin.receivedAt ?? anchor.wall - (ttl - left),
    anchor,
    left,
    user: origin.user ?? readUser(userID, claims.all),
  };
}

/**
 * The place of a pair among those of its user. A mint that finds a session again does not rotate it: of access tokens
 * alone, which nothing but another one replaces, the later one is the newer.
 */
export function rankOf({ accessToken, refreshToken, expiresAt }: Tokens): number {
  const claims = readClaims(accessToken);
  return Math.max(claims?.rc ?? expiresAt, refreshToken ? 0 : (claims?.iat ?? 0) * 1_000);
}

/** The pair of a reply of the server or of the host's `refreshTokens`, or what is wrong with it. */
export function pairFromReply(userID: string, body: unknown, clocks: Clocks, hosted: boolean): Pair | string {
  if (!isRecord(body)) return 'the reply is not a JSON object';
  const accessToken = textOf(body.accessToken);
  const refreshToken = textOf(body.refreshToken ?? (hosted ? '' : undefined));
  // The server gives a number. A backend passes on what it likes, as to `connect`.
  const expiresAt = hosted
    ? readExpiry(body.expiresAt, readClaims(accessToken ?? '')?.exp ?? null)
    : numberOf(body.expiresAt);
  const expiresIn = numberOf(body.expiresIn) ?? 0;
  const serverTime = numberOf(body.serverTime);
  if (!accessToken) return 'the reply has no accessToken';
  if (refreshToken === undefined || !(refreshToken || hosted)) {
    return 'the reply has no refreshToken';
  }
  if (!expiresAt) return 'the reply has no expiresAt';
  const tokens: Tokens = { accessToken, refreshToken, expiresAt };
  const user = isRecord(body.user) && body.user.id === userID ? readUser(userID, body.user) : undefined;
  const pair = makePair(userID, tokens, clocks, {
    ttl: expiresIn > 0 ? expiresIn * 1_000 : undefined,
    // The server's own two times, so that this device's clock has no say in it; or else all of the token's life, which
    // has just begun.
    left: expiresAt - (serverTime ?? Number.NEGATIVE_INFINITY),
    receivedAt: clocks.device.wall(),
    user,
  });
  if (pair === null) return 'the accessToken of the reply is not one of this user';
  return pair.left > 0 ? pair : 'the accessToken of the reply has expired';
}

/** The pair that stands in a storage, or null where there is none. */
export function pairFromStored(record: StoredTokens, clocks: Clocks): Pair | null {
  const { accessToken, refreshToken, expiresAt, receivedAt } = record;
  if (!accessToken || refreshToken === undefined || !expiresAt) return null;
  return makePair(record.userID, { accessToken, refreshToken, expiresAt }, clocks, {
    receivedAt: receivedAt && Math.min(receivedAt, clocks.device.wall()),
  });
}

/** Whether the access token of `pair` still lives, by both clocks. */
export function isUsable(pair: Pair, clock: Clock): boolean {
  return lifeLeft(pair, clock) > 0;
}

/** How long the access token lives, in ms: whichever clock has gone further decides, since either may stand. */
export function lifeLeft(pair: Pair, clock: Clock): number {
  return pair.left - elapsed(pair, clock);
}

/** How long ago `pair` was taken up here, in ms. */
export function elapsed(pair: Pair, clock: Clock): number {
  return Math.max(clock.mono() - pair.anchor.mono, clock.wall() - pair.anchor.wall, 0);
}

/** How long ago any tab received `pair`, in ms. */
export function age(pair: Pair, clock: Clock): number {
  return Math.max(elapsed(pair, clock), clock.wall() - pair.receivedAt, 0);
}
