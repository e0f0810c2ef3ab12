/** What a token manager is made of, what it says of itself, and what it tells of. */
import type { FatalCode, HostSessionEndedError, RefreshError, StorageError } from '../errors.ts';
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
  /**
   * Told of each new pair before it is used, once and in order; waited for, up to 5 s. Where nothing else keeps the
   * pair, and it throws, rejects or takes longer, it is told of the pair again, ten times at most, before that is used.
   */
  onTokenRefresh?: ((tokens: Tokens) => void | Promise<void>) | undefined;
  /** Told when the session ended, and once in each outage that outlives the access token. */
  onRefreshError?: ((error: RefreshError) => void | Promise<void>) | undefined;
  /** Where the pair is kept. Default: the platform's; memory where your backend keeps the refresh token. */
  storage?: TokenStorage | undefined;
  /**
   * Asks your backend for the next pair, where it keeps the refresh token. Throws {@link HostSessionEndedError}
   * where nobody is signed in there; anything else that it throws passes.
   */
  refreshTokens?: RefreshTokens | undefined;
  logger?: Logger | undefined;
  platform?: Platform | undefined;
  /** Whether the token is in use though nobody is looking, by an open socket for instance. */
  inUse?: (() => boolean) | undefined;
}

/** What your backend needs to know of a refresh that it makes for the client. */
export interface HostRefresh {
  /**
   * When the client asked, in ms since the Unix epoch by its estimate of the server's clock: `sentAt` of
   * `POST /auth/refresh`. With it, a request that was on its way for long is told apart from a stolen token.
   */
  readonly sentAt: number;
  /** Aborted when nobody waits for the answer any more: after 10 s, and when the session is left. */
  readonly signal: AbortSignal;
}

/** Gets the next pair from your backend. */
export type RefreshTokens = (request: HostRefresh) => Promise<Partial<Tokens>>;

/**
 * Where the token stands: `unauthenticated` before the start and after the stop; `valid`; `refreshing`;
 * `stale` while refreshing fails and the token still works; `expired` when it works no longer and the
 * session is kept; `ended` when the user has to sign in again.
 */
export type TokenState = 'unauthenticated' | 'valid' | 'refreshing' | 'stale' | 'expired' | 'ended';

/**
 * What ends a session for good: the server's word; a refused token that nothing can replace; your backend's word
 * out of `refreshTokens`.
 */
export type FatalReason = FatalCode | 'refresh_token_missing' | 'host_session_ended';

/** Why a session is over. */
export type EndReason = FatalReason | 'logged_out';

/** What a `TokenManager` tells of. */
export interface TokenEvents {
  /** Another pair is in use. */
  tokens: { readonly user: User; readonly sid: string | null };
  /** The session is over. `error` is null where the user logged out in another tab. */
  ended: { readonly reason: EndReason; readonly error: RefreshError | null };
  /** The storage failed; the session goes on. */
  storageError: StorageError;
  state: TokenState;
}

/** The last thing that went wrong. */
export interface LastError {
  readonly code: string;
  readonly message: string;
  readonly status: number | null;
  readonly requestId: string | null;
  /** When: ms since the Unix epoch, by this device. */
  readonly at: number;
}

/** How a `TokenManager` stands. Holds nothing secret, and may be logged or sent to whoever helps. */
export interface AuthReport {
  readonly userID: string;
  readonly sid: string | null;
  readonly state: TokenState;
  /** When the access token expires: ms since the Unix epoch, by the server. */
  readonly expiresAt: number | null;
  /** The same from now on, in ms, by the clocks of this device; negative when it has expired. */
  readonly expiresInMs: number | null;
  /** How long until the next refresh, in ms; null where there is nothing to refresh with. */
  readonly refreshInMs: number | null;
  readonly refreshing: boolean;
  /** How many refreshes in a row have failed. */
  readonly failures: number;
  /** Who keeps the refresh token: this client, your backend, or nobody. */
  readonly refreshToken: 'here' | 'backend' | 'none';
  readonly storage: {
    /** Yours, the platform's, or none but memory. */
    readonly kind: 'given' | 'platform' | 'memory';
    /** What its last use failed with, or null where that succeeded. */
    readonly error: string | null;
  };
  /** How far the server's clock is estimated to be ahead of this device's, in ms. */
  readonly serverClockAheadMs: number;
  readonly online: boolean;
  readonly visible: boolean;
  readonly lastError: LastError | null;
}
