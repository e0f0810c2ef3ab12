/**
 * One user's session in one page: tokens and a socket, and the clients that take part in it. Clients of the same
 * user share it, so that a component mounted twice, a module reloaded in place, or a second copy of this package is
 * one refresh and one socket. Where the platform shares nothing (on servers), each client has its own.
 */
import { DisconnectedError, type RefreshError, type StorageError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Platform } from './platform/platform.ts';
import { type ConnectionState, makeConnection } from './realtime/connection.ts';
import type { EndReason, HostRefresh, RefreshTokens } from './tokens/events.ts';
import { reportTo } from './tokens/host.ts';
import { makeManager } from './tokens/manager.ts';
import { rankOf } from './tokens/pair.ts';
import type { TokenStorage } from './tokens/storage.ts';
import type { Tokens } from './tokens/types.ts';
import type { User } from './user.ts';

/** What a session is made of. Of the clients that share one, the first one's options count. */
export interface SessionOptions {
  readonly apiUrl: string;
  readonly wsUrl: string;
  readonly userID: string;
  readonly refreshBufferMs?: number | undefined;
  readonly storage?: TokenStorage | undefined;
  /** Whose backend keeps the refresh token has one. Of each client that takes part its {@link Seat} has its own. */
  readonly refreshTokens?: unknown;
  readonly logger: Logger;
  readonly platform: Platform;
}

/** One client's part in a session. Copies of this package of the same major version understand each other's. */
export interface Seat {
  readonly onTokenRefresh?: ((tokens: Tokens) => void | Promise<void>) | undefined;
  readonly onRefreshError?: ((error: RefreshError) => void | Promise<void>) | undefined;
  readonly refreshTokens?: RefreshTokens | undefined;
  onUser(user: User): void;
  onState(state: ConnectionState): void;
  onStorageError(error: StorageError): void;
  onEnded(reason: EndReason, error: RefreshError | null): void;
}

export type Session = ReturnType<typeof makeSession>;

/** The session of this user and these addresses, or a new one that nobody takes part in. */
export function sessionOf(options: SessionOptions): Session {
  const { apiUrl, wsUrl, userID, refreshTokens, platform } = options;
  const shared = platform.shared?.() ?? null;
  const key = JSON.stringify(['session', apiUrl, wsUrl, userID, refreshTokens !== undefined]);
  const session = (shared?.get(key) as Session | undefined) ?? makeSession(options, shared, key);
  shared?.set(key, session);
  session.compare(options);
  return session;
}

function makeSession(options: SessionOptions, shared: Map<string, unknown> | null, key: string) {
  const { wsUrl, refreshTokens, logger, platform } = options;
  /** Who takes part, and the rank of the newest pair that they gave or were told of. */
  let seats = new Map<Seat, number>();
  /** Who has not taken note yet of what they were told, and the rank before that. */
  const untold = new WeakMap<Seat, number>();
  /** Who is told why the session ended, after it did. */
  let audience = seats;
  let warned = false;
  const manager = makeManager({
    ...options,
    refreshTokens: refreshTokens === undefined ? undefined : askHost,
    onTokenRefresh: tellAll,
    onRefreshError: report,
    inUse: () => connection.connected(),
  });
  let stands: ConnectionState = 'connecting';
  const connection = makeConnection(wsUrl, manager, platform, logger, (state) => {
    stands = state;
    each((seat) => seat.onState(state));
  });
  let sid: string | null = null;
  manager.on('tokens', (now) => {
    each((seat) => {
      seat.onUser(now.user);
      catchUp(seat);
    });
    // Another tab signed the same user in anew: what is open still belongs to the old session.
    if (sid !== null && now.sid !== null && now.sid !== sid) connection.restart();
    sid = now.sid;
  });
  manager.on('storageError', (error) => {
    logger.warn(error.message);
    each((seat) => seat.onStorageError(error));
  });
  // Without a token that works no socket is tried that would be lost.
  manager.on('state', (state) => {
    if (state === 'expired' && manager.debug().failures > 0) connection.lost();
  });
  manager.on('ended', ({ reason, error }) => end(reason, error));

  /**
   * Takes part no longer. With the last client everything about tokens stops at once; the socket is closed when
   * nobody has come back by the end of the current task, as a component does that is mounted anew.
   */
  async function leave(seat: Seat): Promise<void> {
    const there = seats.delete(seat);
    audience.delete(seat);
    if (!there || seats.size > 0) return;
    manager.stop();
    if (connection.connected() && shared !== null) await Promise.resolve();
    if (seats.size === 0) close();
  }

  function end(reason: EndReason, error: RefreshError | null): void {
    audience = seats;
    seats = new Map();
    close();
    // Who leaves in the course of it is told no more.
    for (const seat of audience.keys()) seat.onEnded(reason, error);
  }

  function close(): void {
    if (shared?.get(key) === session) shared.delete(key);
    connection.close();
  }

  /** Asks through the client that came last: its function is the freshest. */
  function askHost(request: HostRefresh): Promise<Partial<Tokens>> {
    const ask = [...seats.keys()].flatMap(({ refreshTokens }) => refreshTokens ?? []).pop();
    if (ask === undefined) throw new DisconnectedError();
    return ask(request);
  }

  function each(call: (seat: Seat) => void): void {
    for (const seat of [...seats.keys()]) if (seats.has(seat)) call(seat);
  }

  /** Waits for everybody, and only then throws what one of them threw. Asked again, tells those who have not noted. */
  async function tellAll(tokens: Tokens): Promise<void> {
    for (const [seat, rank] of seats) seats.set(seat, untold.get(seat) ?? rank);
    const telling = [...seats.keys()].map((seat) => tell(seat, tokens));
    await Promise.all(telling.map((one) => one.catch(() => {})));
    await Promise.all(telling);
  }

  /** Tells who came while the others were told. */
  function catchUp(seat: Seat): void {
    const { tokens } = manager;
    if (tokens === null) return;
    tell(seat, tokens).catch((thrown: unknown) => {
      logger.error(`onTokenRefresh failed: ${String(thrown)}`);
    });
  }

  /** Tells of a pair that is newer than all that the client gave or was told of. */
  async function tell(seat: Seat, tokens: Tokens): Promise<void> {
    const rank = rankOf(tokens);
    const before = seats.get(seat) ?? rank;
    if (rank <= before) return;
    seats.set(seat, rank);
    untold.set(seat, before);
    await seat.onTokenRefresh?.({ ...tokens });
    // Of an older call that took its time, nothing follows for the newer.
    if (seats.get(seat) === rank) untold.delete(seat);
  }

  function report(error: RefreshError): void {
    const those = seats.size > 0 ? seats : audience;
    const told = [...those.keys()].filter((seat) => seat.onRefreshError);
    if (told.length === 0) logger.error(error.message);
    for (const seat of told) {
      reportTo(() => (those.has(seat) ? seat.onRefreshError?.(error) : undefined), error, logger);
    }
  }

  const session = {
    manager,

    /** Says, once, that what another client was made with does not count here. */
    compare({ storage, refreshBufferMs }: SessionOptions): void {
      if (warned || (storage === options.storage && refreshBufferMs === options.refreshBufferMs)) return;
      warned = true;
      logger.warn('Clients of one user share storage and refreshBufferMs of the first.');
    },

    /** Takes part, with a pair that may be newer than the one in use. Resolves when the socket is being opened. */
    async join(seat: Seat, tokens: Tokens): Promise<void> {
      seats.set(seat, rankOf(tokens));
      try {
        await manager.start(tokens);
      } catch (error) {
        void leave(seat);
        throw error;
      }
      const { user } = manager;
      if (!seats.has(seat) || user === null) return;
      seat.onUser(user);
      catchUp(seat);
      connection.open();
      if (!platform.network.online()) connection.lost();
      seat.onState(stands);
    },

    leave,

    /** Logs the user out, for every client. `seat` asked for it, and is not told. Nobody need take part. */
    async logout(seat?: Seat): Promise<void> {
      if (seat !== undefined) seats.delete(seat);
      const done = manager.logout();
      end('logged_out', null);
      await done;
    },
  };
  return session;
}
