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
  const record: StoredTokens = { v: 1, userID, generation: numberOf(value.generation) ?? 0 };
  const refreshToken = textOf(value.refreshToken);
  const expiresAt = numberOf(value.expiresAt);
  if (accessToken !== undefined && refreshToken !== undefined && expiresAt !== undefined) {
    Object.assign(record, { accessToken, refreshToken, expiresAt });
  }
  for (const name of ['receivedAt', 'offset'] as const) {
    const number = numberOf(value[name]);
    if (number !== undefined) record[name] = number;
  }
  const revoke = Array.isArray(value.revoke) ? value.revoke.filter((one) => textOf(one)) : [];
  if (revoke.length > 0) record.revoke = revoke;
  return record;
}
