/** Reads the claims of an access token, to know when to refresh it and whom to greet. Verifies nothing. */
import { isRecord, numberOf, textOf } from '../values.ts';

/** The claims that the client looks at. */
export interface Claims {
  /** Whom the token speaks for. */
  readonly sub: string;
  /** Its session. */
  readonly sid: string | null;
  /** Rotation counter of the session: follows the server's clock, so that it orders sessions too. */
  readonly rc: number | null;
  /** Issued at, in seconds since the Unix epoch. */
  readonly iat: number | null;
  /** Expires at, in seconds since the Unix epoch. */
  readonly exp: number | null;
  /** All of it. */
  readonly all: Record<string, unknown>;
}

/** The claims of a JWT, or null where it is none. */
export function readClaims(token: string): Claims | null {
  const parts = token.split('.');
  if (parts.length !== 3) return null;
  try {
    const all: unknown = JSON.parse(decodeBase64Url(parts[1] ?? ''));
    if (!isRecord(all) || typeof all.sub !== 'string') return null;
    return {
      sub: all.sub,
      sid: textOf(all.sid) ?? null,
      rc: numberOf(all.rc) ?? null,
      iat: numberOf(all.iat) ?? null,
      exp: numberOf(all.exp) ?? null,
      all,
    };
  } catch {
    return null;
  }
}

const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const ALPHABET = `${UPPER}${UPPER.toLowerCase()}0123456789-_`;

/** Written out, because neither `atob` nor `TextDecoder` is everywhere that this runs. */
function decodeBase64Url(text: string): string {
  let escaped = '';
  let bits = 0;
  let held = 0;
  for (const char of text) {
    const value = ALPHABET.indexOf(char);
    if (value < 0) throw new SyntaxError();
    held = (held << 6) | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      // With the ninth bit set there are always three digits.
      escaped += `%${((held >> bits) | 0x100).toString(16).slice(1)}`;
    }
    held &= (1 << bits) - 1;
  }
  return decodeURIComponent(escaped);
}
