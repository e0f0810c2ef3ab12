/** The shapes that tokens travel in. */
import type { User } from '../user.ts';

/** A pair of tokens, as `onTokenRefresh` hands it to the app. May be stored as JSON. */
export interface Tokens {
  /** Proves who calls; a JWT. */
  accessToken: string;
  /** Exchanged for the next pair. The empty string where your backend keeps it (see `refreshTokens`). */
  refreshToken: string;
  /** When the access token expires: milliseconds since the Unix epoch, by the server's clock. */
  expiresAt: number;
}

/** A pair, and what is known of it. */
export interface Pair {
  readonly tokens: Tokens;
  /** The session it belongs to, or null where the token does not say. */
  readonly sid: string | null;
  /** Its place among the pairs of its user: a larger one is newer. */
  readonly rank: number;
  /** The whole life of the access token, in ms. */
  readonly ttl: number;
  /** When any tab of this device received it: ms, by the device's wall clock. */
  readonly receivedAt: number;
  /** The clocks when `left` was worked out, in ms. */
  readonly anchor: { readonly wall: number; readonly mono: number };
  /** How long the access token lived from `anchor`, in ms; negative when it had expired. */
  readonly left: number;
  /** Whom it speaks for. */
  readonly user: User;
}
