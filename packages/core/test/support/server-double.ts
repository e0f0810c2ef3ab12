/**
 * The token endpoints with the rules of rotation, and nothing else; {@link decide} is the decision table. The rows
 * of `tests/scenarios/decisions.json` and the scenarios of `tests/scenarios/server` hold it to the real server.
 */
import { jwt } from './fake-server.ts';

/** A session, as far as its rotation hangs on it. Times in ms. */
export type Row = Record<'cur' | 'prev' | 'proven' | 'rotatedAt' | 'rtExp' | 'absExp' | 'idleTtl', number> & {
  revoked: boolean;
};
export type Presented = { n: number; exp: number; sentAt: number | null };
export type Known = { seen: number; userBanned: boolean; now: number };

/** The row after lines 2 to 7 of the table, whose successor is the answer, or the code of a problem. */
export function decide(row: Row | undefined, { n, exp, sentAt }: Presented, known: Known): Row | string {
  const { now, seen, userBanned } = known;
  if (sentAt !== null && (sentAt < now - 15_000 || sentAt > now + 5_000)) return 'request_stale';
  if (row === undefined) return 'refresh_token_invalid';
  if (row.revoked) return 'session_revoked';
  if (userBanned) return 'user_banned';
  if (now > row.absExp || now > Math.max(row.rtExp, exp)) return 'refresh_token_expired';
  const consumedFor = n === row.prev ? now - row.rotatedAt : Number.POSITIVE_INFINITY;
  if (consumedFor <= 60_000) return row;
  if (n < Math.max(row.proven, seen)) {
    return sentAt !== null && consumedFor <= 95_000 ? 'request_stale' : 'refresh_token_reused';
  }
  const rtExp = Math.min(now + row.idleTtl, row.absExp);
  const cur = Math.max(row.cur + 1, n + 1, now);
  return { ...row, cur, prev: n, proven: Math.max(row.proven, n), rotatedAt: now, rtExp };
}

export class ServerDouble {
  /** Lives of what is minted from now on, and of the access tokens of all, in ms. */
  ttl = { access: 3_600_000, refresh: 604_800_000, absolute: 7_776_000_000 };
  readonly now: () => number;
  readonly banned = new Set<string>();
  /** Why sessions ended; outlives a restore, as the journal does. */
  readonly ended = new Map<string, string>();
  #sessions = new Map<string, { row: Row; sub: string }>();
  #seen = new Map<string, { rc: number; at: number }>();
  #issued = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  mint(sid: string, sub: string) {
    const now = this.now();
    const [absExp, idleTtl] = [now + this.ttl.absolute, this.ttl.refresh];
    const rtExp = Math.min(now + idleTtl, absExp);
    const row = { cur: now, prev: 0, proven: 0, rotatedAt: now, rtExp, absExp, idleTtl, revoked: false };
    this.#sessions.set(sid, { row, sub });
    return this.#pair(sid, sub, row);
  }

  /** `POST /auth/refresh`: a pair, or the code of a problem. */
  refresh(token: string, sentAt: number | null) {
    const { sid, n, exp } = read(token);
    const session = this.#sessions.get(sid);
    const [seen, userBanned] = [this.#seen.get(sid)?.rc ?? 0, this.banned.has(session?.sub ?? '')];
    const decision = decide(session?.row, { n, exp, sentAt }, { seen, userBanned, now: this.now() });
    if (decision === 'refresh_token_reused') this.end(sid, 'reused');
    if (typeof decision === 'string' || session === undefined) return String(decision);
    session.row = decision;
    return this.#pair(sid, session.sub, decision);
  }

  /** Any request with an access token: its counter was seen in use. Null where it is let in. */
  verify(token: string): string | null {
    const { sid, sub, rc, exp } = read(token);
    if (this.now() >= exp * 1_000) return 'token_expired';
    if (rc > (this.#seen.get(sid)?.rc ?? 0)) this.#seen.set(sid, { rc, at: this.now() });
    if (this.#sessions.get(sid)?.row.revoked ?? true) return 'token_revoked';
    return this.banned.has(sub) ? 'user_banned' : null;
  }

  /** By `POST /auth/revoke`, the operator, or line 7. */
  end(sid: string, why = 'revoked'): void {
    if (!this.ended.has(sid)) this.ended.set(sid, why);
    const session = this.#sessions.get(sid);
    if (session !== undefined) session.row = { ...session.row, revoked: true };
  }

  /** Ends and starts: what was seen in use and not written, which takes up to 5 s, is forgotten. */
  restart(): void {
    for (const [sid, { rc, at }] of this.#seen) {
      const row = this.#sessions.get(sid)?.row;
      if (row !== undefined && at <= this.now() - 5_000) row.proven = Math.max(row.proven, rc);
    }
    this.#seen.clear();
  }

  /** Copies the database, and returns what puts the copy in its place. */
  backup(): () => void {
    const copy = structuredClone(this.#sessions);
    return () => {
      this.#seen.clear();
      this.#sessions = structuredClone(copy);
      for (const [sid, why] of this.ended) this.end(sid, why);
    };
  }

  #pair(sid: string, sub: string, { cur, rtExp }: Row) {
    const serverTime = this.now();
    const expiresIn = this.ttl.access / 1_000;
    const exp = Math.floor(serverTime / 1_000 + expiresIn);
    const claims = { sub, sid, rc: cur, iat: exp - Math.round(expiresIn), exp, jti: ++this.#issued };
    const accessToken = jwt({ alg: 'EdDSA', typ: 'at+jwt' }, claims);
    const refreshToken = jwt({ alg: 'HS256', typ: 'rt+jwt' }, { sid, n: cur, exp: rtExp });
    const user = { id: sub, name: null, avatar: null, custom: {} };
    const expiresAt = serverTime + this.ttl.access;
    return { accessToken, refreshToken, expiresAt, expiresIn, serverTime, sessionId: sid, user };
  }
}

/** What an access token or a refresh token says. */
export function read(token: string): { sid: string; sub: string; n: number; rc: number; exp: number } {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}
