/** Checks what an app passes to `connect` before anything is changed or sent. */
import { InvalidInputError, UserMismatchError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { numberOf } from '../values.ts';
import { readClaims } from './jwt.ts';
import type { Tokens } from './types.ts';

/** What `connect` takes: whom, and what your backend got from `POST /auth/tokens`. */
export interface ConnectInput {
  /** Your id of the user, as your backend sent it. */
  userID?: string | number;
  /** The same, in the spelling of the wire. */
  userId?: string | number;
  /** `accessToken` of the reply. */
  token: string;
  /** `refreshToken` of the reply; leave it out where your backend keeps it (see `refreshTokens`). */
  refreshToken?: string | undefined;
  /** `expiresAt` of the reply, in milliseconds; read from the token where absent. */
  expiresAt?: number | string | undefined;
}

/** The user and tokens that `input` names. */
export function readConnectInput(
  input: ConnectInput,
  serverNow: number,
  logger: Logger,
): { userID: string; tokens: Tokens } {
  if (typeof input !== 'object' || input === null) {
    throw new InvalidInputError('input', 'connect() takes {userID, token, refreshToken?, expiresAt?}.');
  }
  const { token, refreshToken } = input;
  const userID = readUserID(input.userID ?? input.userId);
  if (typeof token !== 'string' || token === '') {
    throw new InvalidInputError(
      'token',
      `Expected an accessToken, got ${describe(token)}. Your backend may have forwarded an error.`,
    );
  }
  refuseApiKey('token', token);
  const claims = readClaims(token);
  if (claims === null) {
    throw new InvalidInputError('token', 'The token is not an access token.');
  }
  if (typeof (refreshToken ?? '') !== 'string') {
    throw new InvalidInputError('refreshToken', `Expected a string, got ${describe(refreshToken)}.`);
  }
  if (refreshToken) refuseApiKey('refreshToken', refreshToken);
  if (claims.sub !== userID) throw new UserMismatchError();
  let expiresAt = readExpiry(input.expiresAt, claims.exp);
  if (expiresAt === null) {
    throw new InvalidInputError('expiresAt', 'There is no expiresAt, nor exp in the token.');
  }
  const YEAR = 31_536_000_000;
  if (claims.exp !== null && expiresAt > serverNow + YEAR) expiresAt = claims.exp * 1_000;
  if (input.expiresAt && input.expiresAt !== expiresAt) {
    logger.warn('expiresAt has to be the number of the token reply, in milliseconds: another is used.');
  }
  return { userID, tokens: { accessToken: token, refreshToken: refreshToken ?? '', expiresAt } };
}

/** Throws where an API key is about to be used in a client. */
export function refuseApiKey(field: string, value: string): void {
  if (value.trimStart().startsWith('csk_')) {
    throw new InvalidInputError(field, 'This is an API key: keep it on your backend, and replace this one.');
  }
}

/** The id as the server spells it. Throws where it is none. */
export function readUserID(value: unknown): string {
  // Many hosts count their users, and JavaScript hosts send such ids as numbers.
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  if (typeof value !== 'string' || value === '') {
    throw new InvalidInputError('userID', `Expected your id of the user, got ${describe(value)}.`);
  }
  refuseApiKey('userID', value);
  return value;
}

/**
 * When a token expires, ms since the Unix epoch: as a host says it, in milliseconds, seconds or as a date, or else by
 * the token's own `exp`, in seconds. Null where neither says it.
 */
export function readExpiry(value: unknown, exp: number | null): number | null {
  let time = value;
  // biome-ignore lint/style/noRestrictedGlobals: reads a text, not the clock.
  if (typeof time === 'string') time = /^\s*\d+(\.\d+)?\s*$/.test(time) ? Number(time) : Date.parse(time);
  const known = numberOf(time) ?? 0;
  if (known > 0) return known < 1e11 ? known * 1_000 : known;
  return exp && exp * 1_000;
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value === '') return 'an empty string';
  return typeof value === 'object' ? 'an object' : typeof value;
}
