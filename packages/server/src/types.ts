/** The shapes of requests and replies, in the spelling of the wire. Times are milliseconds since the Unix epoch. */

/** A time span: one to six digits and a unit (`ms`, `s`, `m`, `h`, `d`, `w`), such as `1h`; or whole seconds. */
export type Lifetime = string | number;

/** Who tokens are for, and what you say of them. What is left out or `undefined` stays as it is. */
export interface TokenRequest {
  /** Your id of the person: 1 to 128 bytes, compared byte for byte. A whole number is taken as its digits. */
  userId: string | number;
  /** The name to show. `null`: none. */
  name?: string | null | undefined;
  /** The https address of a picture. `null`: none. */
  avatar?: string | null | undefined;
  /** Your own data of the person, replaced as a whole, at most 1024 bytes of JSON. Its bearer can read it. `null`: none. */
  custom?: Record<string, unknown> | null | undefined;
  /** How long access tokens of the session live. Default `1h`. */
  accessTokenExpiry?: Lifetime | undefined;
  /** How long refresh tokens live unless they are exchanged. Default `7d`. */
  refreshTokenExpiry?: Lifetime | undefined;
  /** How long the session lives whatever happens. Default `90d`. */
  sessionExpiry?: Lifetime | undefined;
  /**
   * Your id of the device: another mint for the same device, with the same lifetimes, answers the session that is there
   * while half the life of its refresh token is left.
   */
  deviceId?: string | undefined;
  /** What to call the device in lists. */
  deviceName?: string | undefined;
}

/** A person, as replies show one. */
export interface User {
  id: string;
  name?: string | null;
  avatar?: string | null;
  custom?: Record<string, unknown> | null;
}

/** What a mint and a refresh answer. Hand it to your frontend as it is, and log it nowhere. */
export interface TokenReply {
  /** Proves who calls: a JWT. */
  accessToken: string;
  /** Exchanged for the next pair. Opaque. */
  refreshToken: string;
  /** When the access token expires. */
  expiresAt: number;
  /** How long the access token lives from now, in seconds. */
  expiresIn: number;
  /** When the refresh token expires unless it is exchanged. */
  refreshExpiresAt: number;
  /** The server's clock. */
  serverTime: number;
  /** The session that both tokens belong to. */
  sessionId: string;
  /** The person that the tokens speak for. */
  user: User;
}

/** A live session of a person. */
export interface Session {
  id: string;
  createdAt: number;
  /** When it was last refreshed, to the day. */
  lastUsedAt: number;
  /** When it ends whatever happens. */
  expiresAt: number;
  deviceId?: string | null;
  deviceName?: string | null;
}

/** What introspection answers, after RFC 7662. Times are in seconds. Everything but `active` is absent when it is false. */
export interface Introspection {
  active: boolean;
  token_type?: 'access_token' | 'refresh_token';
  sub?: string;
  sid?: string;
  client_id?: string;
  iss?: string;
  aud?: string;
  jti?: string;
  iat?: number;
  exp?: number;
}

/** What a call may be given beside its arguments. */
export interface CallOptions {
  /** Gives the call up early; it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}
