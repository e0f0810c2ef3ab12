/** Tokens in the format that servers of this protocol share. */
import { SignJWT } from 'jose';

/** A token with these claims under the profiles' secret, valid for `seconds`. */
export function token(claims: Record<string, unknown>, seconds = 600): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return signed({ iat: now, exp: now + seconds, ...claims });
}

/** A token with these claims and no others. */
export function signed(claims: Record<string, unknown>): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .sign(new TextEncoder().encode('secret'));
}
