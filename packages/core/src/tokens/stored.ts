/** Reads what stands in a storage. */
import { isRecord, numberOf, parseJson, textOf } from '../values.ts';
import { readClaims } from './jwt.ts';
import type { StoredTokens } from './storage.ts';

/** Our record, or a bare pair that an app wrote there itself, also as JSON; null where it is neither. */
export function parseStored(given: unknown): StoredTokens | null {
  const value = typeof given === 'string' ? parseJson(given) : given;
  if (!isRecord(value)) return null;
  const accessToken = textOf(value.accessToken);
  const userID = textOf(value.userID) ?? (accessToken && readClaims(accessToken)?.sub);
  if (userID === undefined) return null;
  const revoke = Array.isArray(value.revoke) ? value.revoke.filter((one) => textOf(one)) : [];
  return {
    v: 1,
    userID,
    generation: numberOf(value.generation) ?? 0,
    accessToken,
    refreshToken: textOf(value.refreshToken),
    expiresAt: numberOf(value.expiresAt),
    receivedAt: numberOf(value.receivedAt),
    offset: numberOf(value.offset),
    ...(revoke.length > 0 && { revoke }),
  };
}
