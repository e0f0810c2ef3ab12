/** What a token manager is made of, what it says of itself, and what it tells of. */
import type { FatalCode, RefreshError, StorageError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import type { User } from '../user.ts';
import type { TokenStorage } from './storage.ts';
import type { Tokens } from './types.ts';

/** What a `TokenManager` is made of. */
export interface TokenManagerOptions {
  /** Address of the API, without a slash at its end. */
  apiUrl: string;
  /** Whose tokens these are. */
  userID: string;
  /** How long before its end an access token is refreshed, in ms. Default: five minutes. */
  refreshBufferMs?: number | undefined;
  /** Told of each new pair before it is used, once and in order; waited for, up to 5 s. */
  onTokenRefresh?: ((tokens: Tokens) => void | Promise<void>) | undefined;
  /** Told when the session ended, and once in each outage that outlives the access token. */
  onRefreshError?: ((error: RefreshError) => void | Promise<void>) | undefined;
  /** Where the pair is kept. Default: the platform's. */
  storage?: TokenStorage | undefined;
  /** Asks your backend for the next pair, where it keeps the refresh token. */
  refreshTokens?: (() => Promise<Partial<Tokens>>) | undefined;
  logger?: Logger | undefined;
  platform?: Platform | undefined;
  /** Whether the token is in use though nobody is looking, by an open socket for instance. */
  inUse?: (() => boolean) | undefined;
}

/**
 * Where the token stands: `unauthenticated` before the start and after the stop; `valid`; `refreshing`;
 * `stale` while refreshing fails and the token still works; `expired` when it works no longer and the
 * session is kept; `ended` when the user has to sign in again.
 */
export type TokenState = 'unauthenticated' | 'valid' | 'refreshing' | 'stale' | 'expired' | 'ended';

/** Why a session is over. */
export type EndReason = FatalCode | 'refresh_token_missing' | 'logged_out';

/** What a `TokenManager` tells of. */
export interface TokenEvents {
  /** Another pair is in use. */
  tokens: { readonly user: User; readonly sid: string | null };
  /** The session is over. `error` is null where the user logged out in another tab. */
  ended: { readonly reason: EndReason; readonly error: RefreshError | null };
  /** The storage failed; the session goes on in memory. */
  storageError: StorageError;
  state: TokenState;
}
