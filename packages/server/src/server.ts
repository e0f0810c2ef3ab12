/** ChatSDK as your backend sees it: one method for each thing that an API key may do. */
import { ApiError, InvalidInputError, NetworkError } from './errors.ts';
import { type ChatSDKServerOptions, readOptions, type Settings } from './options.ts';
import { type Call, isRecord, isWhole, send } from './request.ts';
import type { CallOptions, Introspection, Session, TokenReply, TokenRequest } from './types.ts';
import { type AccessToken, TokenVerifier } from './verify.ts';

/** Options of {@link ChatSDKServer.refresh}. */
export interface RefreshOptions extends CallOptions {
  /** When the request began, in milliseconds by the server's clock. Default: now, by an estimate of that clock. */
  sentAt?: number | undefined;
}

/**
 * Makes calls with your API key. Each is repeated after network failures, 5xx and 429, which is safe: ending
 * and banning again change nothing, a refresh token is answered with the same successor for a minute, and a
 * mint whose reply was lost leaves a session that nobody holds, which makes room when it is in the way
 * (with a `deviceId`, not even that: the second mint finds the session of the first).
 */
export class ChatSDKServer {
  readonly #settings: Settings;
  readonly #verifier: TokenVerifier;
  /** What to add to this machine's clock to get the server's, in ms. */
  #ahead = 0;

  constructor(options: ChatSDKServerOptions = {}) {
    this.#settings = readOptions(options);
    this.#verifier = new TokenVerifier(this.#settings);
  }

  /** Gets tokens for a person that you know to be who they say. Creates or updates them in ChatSDK. */
  async generateToken(request: TokenRequest, options: CallOptions = {}): Promise<TokenReply> {
    const userId = readUserId(request?.userId);
    const body = { ...request, userId };
    const reply = tokens(await this.#call('POST', '/auth/tokens', () => body, options));
    // Whatever mixed replies up, a proxy or a cache: nobody gets the tokens of somebody else.
    if (!isRecord(reply.user) || reply.user.id !== userId) {
      throw new NetworkError('foreign_answer', 'Network error: the reply holds the tokens of somebody else.');
    }
    return reply;
  }

  /**
   * Exchanges a refresh token that you keep for somebody (see `cookieRoutes`). Only where `isSessionEnded` is
   * true of what this throws is the session over; anything else passes.
   */
  async refresh(refreshToken: string, options: RefreshOptions = {}): Promise<TokenReply> {
    readText('refreshToken', refreshToken);
    if (options.sentAt !== undefined && !Number.isSafeInteger(options.sentAt)) {
      throw new InvalidInputError('sentAt', 'sentAt is a time in whole milliseconds.');
    }
    const { runtime } = this.#settings;
    // A request that was held up must not use up a token that its owner has long exchanged: the server
    // refuses it by this time. Each attempt says when it was made.
    const body = () => ({ refreshToken, sentAt: options.sentAt ?? Math.round(runtime.wall() + this.#ahead) });
    const call: Call = { method: 'POST', path: '/auth/refresh', key: false, body, signal: options.signal };
    try {
      return tokens(await send(this.#settings, call));
    } catch (error) {
      const stale = error instanceof ApiError && error.code === 'request_stale';
      if (!stale || error.serverTime === null || options.sentAt !== undefined) throw error;
      this.#ahead = error.serverTime - runtime.wall();
      return tokens(await send(this.#settings, call));
    }
  }

  /** Ends the session of a refresh token, however old. One that is unknown or over is answered the same. */
  async revokeToken(refreshToken: string, options: CallOptions = {}): Promise<void> {
    readText('refreshToken', refreshToken);
    const call: Call = { method: 'POST', path: '/auth/revoke', key: false, body: () => ({ refreshToken }) };
    await send(this.#settings, { ...call, signal: options.signal });
  }

  /** The live sessions of a person, newest first. */
  async listSessions(userId: string | number, options: CallOptions = {}): Promise<Session[]> {
    const reply = await this.#call('GET', `${userPath(userId)}/sessions`, undefined, options);
    return record(reply, 'sessions', Array.isArray).sessions as Session[];
  }

  /** Ends one session of a person, for every open connection too. */
  async revokeSession(userId: string | number, sessionId: string, options: CallOptions = {}): Promise<void> {
    readText('sessionId', sessionId);
    await this.#call(
      'DELETE',
      `${userPath(userId)}/sessions/${segment('sessionId', sessionId)}`,
      undefined,
      options,
    );
  }

  /** Ends all sessions of a person, or all but one: the one in which they change their password, say. */
  async revokeUser(
    userId: string | number,
    options: CallOptions & { except?: string | undefined } = {},
  ): Promise<void> {
    await this.#call('POST', `${userPath(userId)}/revoke`, () => ({ except: options.except }), options);
  }

  /** Lets nothing of a person work until {@link unbanUser}. `reason` is for lists and the audit log. */
  async banUser(
    userId: string | number,
    options: CallOptions & { reason?: string | undefined } = {},
  ): Promise<void> {
    await this.#call('POST', `${userPath(userId)}/ban`, () => ({ reason: options.reason }), options);
  }

  /** Lifts the ban. Sessions that waited go on. */
  async unbanUser(userId: string | number, options: CallOptions = {}): Promise<void> {
    await this.#call('DELETE', `${userPath(userId)}/ban`, undefined, options);
  }

  /** Asks ChatSDK whether a token works now: the only way to know of a session that ended a moment ago. */
  async introspect(token: string, options: CallOptions = {}): Promise<Introspection> {
    readText('token', token);
    const reply = await this.#call('POST', '/auth/introspect', () => ({ token }), options);
    return record(reply, 'active', (value) => typeof value === 'boolean') as unknown as Introspection;
  }

  /**
   * Verifies an access token here, with the published keys: no call for each token, but a session that was
   * ended is noticed only when its access token expires. Throws a `TokenVerificationError` where the token is
   * not good, and a `NetworkError` where the keys cannot be had.
   */
  verifyToken(accessToken: string): Promise<AccessToken> {
    return this.#verifier.verify(accessToken);
  }

  /** What JSON shows: never the key. */
  toJSON(): { apiUrl: string } {
    return { apiUrl: this.#settings.apiUrl };
  }

  #call(method: Call['method'], path: string, body: Call['body'], options: CallOptions): Promise<unknown> {
    const call: Call = { method, path, key: true, signal: options.signal };
    return send(this.#settings, body === undefined ? call : { ...call, body });
  }
}

/** A {@link ChatSDKServer}. */
export function createChatSDKServer(options: ChatSDKServerOptions = {}): ChatSDKServer {
  return new ChatSDKServer(options);
}

function userPath(userId: unknown): string {
  return `/auth/users/${segment('userId', readUserId(userId))}`;
}

function segment(field: string, value: string): string {
  // URLs resolve these, even percent-encoded: the call would go to another path.
  if (value === '.' || value === '..')
    throw new InvalidInputError(field, `${field} cannot be part of a path.`);
  if (!isWhole(value)) {
    throw new InvalidInputError(field, `${field} holds half a character (a lone surrogate).`);
  }
  return encodeURIComponent(value);
}

function readUserId(value: unknown): string {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return String(value);
  if (typeof value === 'string' && value !== '') return value;
  const got = value === '' ? 'an empty string' : value === null ? 'null' : typeof value;
  throw new InvalidInputError(
    'userId',
    `userId is your id of the person, a string or a whole number; got ${got}.`,
  );
}

function readText(field: string, value: unknown): void {
  if (typeof value !== 'string' || value === '') {
    throw new InvalidInputError(field, `${field} has to be a string that is not empty.`);
  }
}

function tokens(reply: unknown): TokenReply {
  for (const member of ['accessToken', 'refreshToken'])
    record(reply, member, (value) => typeof value === 'string');
  return record(reply, 'expiresAt', Number.isFinite) as unknown as TokenReply;
}

function record(reply: unknown, member: string, check: (value: unknown) => boolean): Record<string, unknown> {
  if (isRecord(reply) && check(reply[member])) return reply;
  throw new NetworkError(
    'foreign_answer',
    `Network error: the reply has no ${member}: something else answered.`,
  );
}
