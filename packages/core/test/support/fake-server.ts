/**
 * The token endpoints as the client sees them, with the rules of rotation: a counter that grows, the same
 * successor for a token that comes again, the end of the session for one that was overtaken.
 */
import type { HttpReply, Platform } from '../../src/platform/platform.ts';
import type { Tokens } from '../../src/tokens/types.ts';
import { type Device, problem, reply } from './fake-platform.ts';

interface Session {
  cur: number;
  prev: number | null;
  proven: number;
  rotatedAt: number;
  revoked: boolean;
}

/** What a request carried. */
export interface Seen {
  readonly path: string;
  readonly body: Record<string, unknown>;
  /** The header of this name, or the empty string. */
  readonly authorization: string;
  /** Since the start of the test, ms. */
  readonly at: number;
}

export class FakeServer {
  /** The life of an access token, in ms. */
  ttl = 3_600_000;
  /** How far its clock is ahead of the device's, in ms. */
  ahead = 0;
  /** Takes a request before the server does; returns nothing to let it through. */
  intercept: (seen: Seen) => HttpReply | Promise<HttpReply> | undefined = () => undefined;
  readonly seen: Seen[] = [];
  readonly sessions = new Map<string, Session>();
  readonly #device: Device;
  readonly #begun: number;
  #issued = 0;

  constructor(device: Device) {
    this.#device = device;
    this.#begun = device.mono;
  }

  now(): number {
    return this.#device.wall + this.ahead;
  }

  get refreshes(): Seen[] {
    return this.seen.filter((one) => one.path.endsWith('/auth/refresh'));
  }

  /** What the host's backend gets. */
  mint(userID = 'ann', more: Record<string, unknown> = {}): Tokens & { sid: string } {
    const sid = `ses_${this.sessions.size + 1}`;
    const cur = this.now();
    this.sessions.set(sid, { cur, prev: null, proven: 0, rotatedAt: 0, revoked: false });
    const { accessToken, refreshToken, expiresAt } = this.#pair(sid, userID, cur, more);
    return { accessToken, refreshToken, expiresAt, sid };
  }

  readonly fetch: Platform['fetch'] = async (url, init) => {
    if (init.signal?.aborted) throw new DOMException('aborted', 'AbortError');
    const path = url.replace(/^https?:\/\/[^/]+/, '');
    const body = JSON.parse(init.body ?? '{}') as Record<string, unknown>;
    const authorization = init.headers.Authorization ?? '';
    const seen: Seen = { path, body, authorization, at: this.#device.mono - this.#begun };
    this.seen.push(seen);
    const work = Promise.resolve(this.intercept(seen)).then((answer) => answer ?? this.answer(seen));
    const aborted = new Promise<never>((_, reject) => {
      init.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
    });
    return await Promise.race([work, aborted]);
  };

  /** An access token was verified: its counter is seen in use. */
  show(accessToken: string): void {
    const { sid, rc } = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString());
    const session = this.sessions.get(sid);
    if (session) session.proven = Math.max(session.proven, rc);
  }

  /** What the server says, once the request has reached it. */
  answer({ path, body, authorization }: Seen): HttpReply {
    if (path.endsWith('/auth/revoke')) {
      const session = this.sessions.get(this.#read(String(body.refreshToken ?? authorization)).sid);
      if (session) session.revoked = true;
      return reply(200, {});
    }
    if (!path.endsWith('/auth/refresh')) return problem(404, 'not_found');
    const now = this.now();
    const late = now - Number(body.sentAt);
    if (late > 15_000 || late < -5_000) return problem(408, 'request_stale', { serverTime: now });
    const { sid, sub, n } = this.#read(String(body.refreshToken));
    const session = this.sessions.get(sid);
    if (session === undefined) return problem(401, 'refresh_token_invalid');
    if (session.revoked) return problem(401, 'session_revoked');
    if (n === session.prev && now - session.rotatedAt <= 60_000) {
      return reply(200, this.#pair(sid, sub, session.cur));
    }
    if (n < session.proven) {
      session.revoked = true;
      return problem(401, 'refresh_token_reused');
    }
    Object.assign(session, {
      cur: Math.max(session.cur + 1, n + 1, now),
      prev: n,
      proven: Math.max(session.proven, n),
      rotatedAt: now,
    });
    return reply(200, this.#pair(sid, sub, session.cur));
  }

  #pair(sid: string, sub: string, n: number, more: Record<string, unknown> = {}) {
    const serverTime = this.now();
    const user = { id: sub, name: 'Ann', avatar: null, custom: { role: 'admin' } };
    const exp = Math.floor((serverTime + this.ttl) / 1_000);
    const iat = exp - Math.round(this.ttl / 1_000);
    const claims = { ...user, sub, sid, rc: n, iat, exp, jti: String(++this.#issued), ...more };
    return {
      accessToken: jwt({ alg: 'EdDSA', typ: 'at+jwt' }, claims),
      refreshToken: jwt({ alg: 'HS256', typ: 'rt+jwt' }, { sid, sub, n }),
      expiresAt: serverTime + this.ttl,
      expiresIn: this.ttl / 1_000,
      serverTime,
      sessionId: sid,
      user,
    };
  }

  #read(token: string): { sid: string; sub: string; n: number } {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  }
}

/** A token with a signature that nobody checks. */
export function jwt(header: unknown, claims: unknown): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(claims)}.c2lnbmF0dXJl`;
}
