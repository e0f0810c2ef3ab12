/**
 * One user's session in one page: tokens and a socket, and the clients that take part in it. Clients of the same
 * user share it, so that a component mounted twice, a module reloaded in place, or a second copy of this package is
 * one refresh and one socket. Where the platform shares nothing (on servers), each client has its own.
 */
import type { RefreshError, StorageError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Platform } from './platform/platform.ts';
import { type Connection, type ConnectionState, connection } from './realtime/connection.ts';
import type { EndReason } from './tokens/events.ts';
import { readClaims } from './tokens/jwt.ts';
import { TokenManager } from './tokens/manager.ts';
import type { TokenStorage } from './tokens/storage.ts';
import type { Tokens } from './tokens/types.ts';
import type { User } from './user.ts';
import { guarded } from './within.ts';

/** What a session is made of. Of the clients that share one, the first one's options count. */
export interface SessionOptions {
  readonly apiUrl: string;
  readonly wsUrl: string;
  readonly userID: string;
  readonly refreshBufferMs?: number | undefined;
  readonly storage?: TokenStorage | undefined;
  /** Whether the backend keeps the refresh token. */
  readonly hosted: boolean;
  readonly logger: Logger;
  readonly platform: Platform;
}

/** One client's part in a session. Copies of this package of the same major version understand each other's. */
export interface Seat {
  readonly onTokenRefresh: ((tokens: Tokens) => void | Promise<void>) | undefined;
  readonly onRefreshError: ((error: RefreshError) => void | Promise<void>) | undefined;
  readonly refreshTokens: (() => Promise<Partial<Tokens>>) | undefined;
  onUser(user: User): void;
  onState(state: ConnectionState): void;
  onStorageError(error: StorageError): void;
  onEnded(reason: EndReason, error: RefreshError | null): void;
}

export class Session {
  readonly manager: TokenManager;
  readonly #connection: Connection;
  readonly #logger: Logger;
  readonly #shared: Map<string, unknown> | null;
  readonly #key: string;
  readonly #options: SessionOptions;
  /** Who takes part, and the rank of the newest pair that they gave or were told of. */
  #seats = new Map<Seat, number>();
  /** Who has not taken note yet of what they were told, and the rank before that. */
  readonly #untold = new WeakMap<Seat, number>();
  /** Who is told why the session ended, after it did. */
  #audience = this.#seats;
  #warned = false;

  /** The session of this user and these addresses, or a new one that nobody takes part in. */
  static of(options: SessionOptions): Session {
    const { apiUrl, wsUrl, userID, hosted, platform } = options;
    const shared = platform.shared?.() ?? null;
    const key = JSON.stringify(['session', apiUrl, wsUrl, userID, hosted]);
    const found = shared?.get(key) as Session | undefined;
    if (found !== undefined) {
      found.compare(options);
      return found;
    }
    const made = new Session(options, shared, key);
    shared?.set(key, made);
    return made;
  }

  private constructor(options: SessionOptions, shared: Map<string, unknown> | null, key: string) {
    const { wsUrl, hosted, logger, platform } = options;
    this.#options = options;
    this.#logger = logger;
    this.#shared = shared;
    this.#key = key;
    const manager = new TokenManager({
      ...options,
      refreshTokens: hosted ? () => this.#askHost() : undefined,
      onTokenRefresh: (tokens) => this.#tellAll(tokens),
      onRefreshError: (error) => this.#report(error),
      inUse: () => this.#connection.connected(),
    });
    this.manager = manager;
    this.#connection = connection(wsUrl, manager, platform, logger, (state) =>
      this.#each((seat) => seat.onState(state)),
    );
    let sid: string | null = null;
    manager.on('tokens', (now) => {
      this.#each((seat) => {
        seat.onUser(now.user);
        this.#catchUp(seat);
      });
      // Another tab signed the same user in anew: what is open still belongs to the old session.
      if (sid !== null && now.sid !== null && now.sid !== sid) this.#connection.restart();
      sid = now.sid;
    });
    manager.on('storageError', (error) => {
      logger.warn(error.message);
      this.#each((seat) => seat.onStorageError(error));
    });
    manager.on('ended', ({ reason, error }) => this.#end(reason, error));
  }

  /** Whether the server has accepted the socket and it is up. */
  get connected(): boolean {
    return this.#connection.connected();
  }

  /** Says, once, that what another client was made with does not count here. */
  compare({ storage, refreshBufferMs }: SessionOptions): void {
    const mine = this.#options;
    if (this.#warned || (storage === mine.storage && refreshBufferMs === mine.refreshBufferMs)) return;
    this.#warned = true;
    this.#logger.warn('Clients of one user share the storage and refreshBufferMs of the first one.');
  }

  /** Takes part, with a pair that may be newer than the one in use. Resolves when the socket is being opened. */
  async join(seat: Seat, tokens: Tokens): Promise<void> {
    this.#seats.set(seat, rankOf(tokens));
    try {
      await this.manager.start(tokens);
    } catch (error) {
      void this.leave(seat);
      throw error;
    }
    const { user } = this.manager;
    if (!this.#seats.has(seat) || user === null) return;
    seat.onUser(user);
    this.#catchUp(seat);
    this.#connection.open();
    if (this.connected) seat.onState('connected');
  }

  /**
   * Takes part no longer. With the last client everything about tokens stops at once; the socket is closed when
   * nobody has come back by the end of the current task, as a component does that is mounted anew.
   */
  async leave(seat: Seat): Promise<void> {
    const there = this.#seats.delete(seat);
    this.#audience.delete(seat);
    if (!there || this.#seats.size > 0) return;
    this.manager.stop();
    if (this.connected && this.#shared !== null) await Promise.resolve();
    if (this.#seats.size === 0) this.#close();
  }

  /** Logs the user out, for every client. `seat` asked for it, and is not told. Nobody need take part. */
  async logout(seat?: Seat): Promise<void> {
    if (seat !== undefined) this.#seats.delete(seat);
    const done = this.manager.logout();
    this.#end('logged_out', null);
    await done;
  }

  #end(reason: EndReason, error: RefreshError | null): void {
    this.#audience = this.#seats;
    this.#seats = new Map();
    this.#close();
    // Who leaves in the course of it is told no more.
    for (const seat of this.#audience.keys()) seat.onEnded(reason, error);
  }

  #close(): void {
    if (this.#shared?.get(this.#key) === this) this.#shared.delete(this.#key);
    this.#connection.close();
  }

  /** Asks through the client that came last: its function is the freshest. */
  #askHost(): Promise<Partial<Tokens>> {
    const ask = [...this.#seats.keys()]
      .reverse()
      .find((seat) => seat.refreshTokens !== undefined)?.refreshTokens;
    return ask === undefined ? Promise.reject(new Error('nobody takes part')) : ask();
  }

  #each(call: (seat: Seat) => void): void {
    for (const seat of [...this.#seats.keys()]) if (this.#seats.has(seat)) call(seat);
  }

  /** Waits for everybody, and only then throws what one of them threw. Asked again, tells those who have not noted. */
  async #tellAll(tokens: Tokens): Promise<void> {
    for (const [seat, rank] of this.#seats) this.#seats.set(seat, this.#untold.get(seat) ?? rank);
    const telling = [...this.#seats.keys()].map((seat) => this.#tell(seat, tokens));
    await Promise.all(telling.map((one) => one.catch(() => {})));
    await Promise.all(telling);
  }

  /** Tells who came while the others were told. */
  #catchUp(seat: Seat): void {
    const { tokens } = this.manager;
    if (tokens === null) return;
    this.#tell(seat, tokens).catch((thrown: unknown) => {
      this.#logger.error(`onTokenRefresh failed: ${String(thrown)}`);
    });
  }

  /** Tells of a pair that is newer than all that the client gave or was told of. */
  async #tell(seat: Seat, tokens: Tokens): Promise<void> {
    const rank = rankOf(tokens);
    const before = this.#seats.get(seat) ?? rank;
    if (rank <= before) return;
    this.#seats.set(seat, rank);
    this.#untold.set(seat, before);
    await seat.onTokenRefresh?.({ ...tokens });
    this.#untold.delete(seat);
  }

  #report(error: RefreshError): void {
    const seats = this.#seats.size > 0 ? this.#seats : this.#audience;
    const told = [...seats.keys()].filter((seat) => seat.onRefreshError !== undefined);
    if (told.length === 0) this.#logger.error(error.message);
    for (const seat of told) {
      guarded(
        () => (seats.has(seat) ? seat.onRefreshError?.(error) : undefined),
        (thrown) => this.#logger.error(`onRefreshError failed: ${String(thrown)}`),
      );
    }
  }
}

/** Grows from pair to pair of a session. */
function rankOf({ accessToken, expiresAt }: Tokens): number {
  return readClaims(accessToken)?.rc ?? expiresAt;
}
