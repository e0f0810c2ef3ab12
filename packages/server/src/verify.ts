/** Verifies access tokens on your own backend, with the deployment's published keys. */
import { errors, type JWTPayload, jwtVerify } from 'jose';
import { ChatSDKError, TokenVerificationError } from './errors.ts';
import { KeySet } from './keys.ts';
import type { Settings } from './options.ts';
import { isRecord } from './request.ts';
import type { User } from './types.ts';

/** What a verified access token says. Times are milliseconds since the Unix epoch. */
export interface AccessToken {
  /** The person that it speaks for. */
  readonly userId: string;
  /** The session that it belongs to. */
  readonly sessionId: string;
  /** The app that it belongs to. */
  readonly appId: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** The person as of the last refresh. */
  readonly user: User;
}

/** The longest life of an access token: a longer one was not made by ChatSDK. */
const LONGEST_LIFE = '24h';

export class TokenVerifier {
  readonly #settings: Settings;
  readonly #keys: KeySet;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#keys = new KeySet(settings);
  }

  async verify(token: string): Promise<AccessToken> {
    if (typeof token !== 'string') throw invalid('it is not a string');
    const { issuer, appId, clockToleranceSeconds, runtime } = this.#settings;
    try {
      const { payload } = await jwtVerify(token, this.#keys.find, {
        issuer,
        audience: 'chatsdk',
        typ: 'at+jwt',
        algorithms: ['EdDSA'],
        clockTolerance: clockToleranceSeconds,
        maxTokenAge: LONGEST_LIFE,
        requiredClaims: ['sub', 'sid', 'client_id', 'exp', 'iat', 'jti'],
        currentDate: new Date(runtime.wall()),
      });
      const read = readClaims(payload);
      // All apps of a deployment share its keys.
      if (appId !== null && read.appId !== appId) throw invalid('it belongs to another app');
      return read;
    } catch (error) {
      if (error instanceof ChatSDKError) throw error;
      if (error instanceof errors.JWTExpired && error.claim === 'exp') {
        throw new TokenVerificationError('token_expired', 'The access token has expired.');
      }
      // Without a cause: the library's errors hold the claims of the token.
      throw invalid(error instanceof errors.JOSEError ? error.message : 'it cannot be read');
    }
  }
}

function readClaims(payload: JWTPayload): AccessToken {
  const { sub = '', sid, client_id, iat = 0, exp = 0, name, avatar, custom } = payload;
  if (typeof sid !== 'string' || typeof client_id !== 'string' || sub === '') {
    throw invalid('a claim has another type than ChatSDK gives it');
  }
  const user: User = { id: sub };
  if (typeof name === 'string') user.name = name;
  if (typeof avatar === 'string') user.avatar = avatar;
  if (isRecord(custom)) user.custom = custom;
  return {
    userId: sub,
    sessionId: sid,
    appId: client_id,
    issuedAt: iat * 1_000,
    expiresAt: exp * 1_000,
    user,
  };
}

function invalid(reason: string): TokenVerificationError {
  return new TokenVerificationError('token_invalid', `The access token is not valid: ${reason}.`);
}
