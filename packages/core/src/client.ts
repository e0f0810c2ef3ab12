/** The way in: wires tokens and socket together, and owns no logic of either. */
import { readApiUrl, readWsUrl } from './address.ts';
import { type Emitter, makeEmitter } from './emitter.ts';
import {
  DisconnectedError,
  type HostSessionEndedError,
  NotConnectedError,
  type RefreshError,
  type StorageError,
} from './errors.ts';
import { type Logger, redacting } from './logger.ts';
import type { Platform } from './platform/platform.ts';
import { webPlatform } from './platform/web.ts';
import type { ConnectionState } from './realtime/connection.ts';
import { type RequestOptions, request } from './rest.ts';
import { type Seat, type Session, sessionOf } from './session.ts';
import type { AuthReport, EndReason, RefreshTokens } from './tokens/events.ts';
import { type ConnectInput, readConnectInput, readUserID, refuseApiKey } from './tokens/input.ts';
import { recallUser, rememberUser } from './tokens/last-user.ts';
import { readBuffer } from './tokens/schedule.ts';
import type { TokenStorage } from './tokens/storage.ts';
import type { Tokens } from './tokens/types.ts';
import type { User } from './user.ts';

/** What `new ChatSDK` takes. */
export interface ChatSDKOptions {
  /** Address of the API: `https://chat.example.com`. */
  apiUrl: string;
  /** Address of the socket. Default: `/connection/websocket` of `apiUrl`. */
  wsUrl?: string | undefined;
  /** How long before its end an access token is refreshed, in ms. Default: five minutes. */
  refreshBufferMs?: number | undefined;
  /** Told of each new pair before it is used; waited for, up to 5 s. Refreshing does not depend on it. */
  onTokenRefresh?: ((tokens: Tokens) => void | Promise<void>) | undefined;
  /**
   * Told when the user has to sign in again, and once in each outage that outlives the access token. Then,
   * and only then, the message contains `Network`; the session is kept and goes on by itself.
   */
  onRefreshError?: ((error: RefreshError) => void | Promise<void>) | undefined;
  /**
   * Where the SDK keeps the pair. Default: `localStorage` in browsers; memory elsewhere, and with `refreshTokens`.
   * Of several clients of one user in a page, the `storage` and `refreshBufferMs` of the first one count.
   */
  storage?: TokenStorage | undefined;
  /**
   * Asks your backend for the next pair, where it keeps the refresh token in a cookie. What it is called with goes on
   * to your backend: `sentAt`, and the `signal` of the request. Resolves with `{accessToken, expiresAt}`. Throws
   * {@link HostSessionEndedError} where nobody is signed in there, which ends the session; whatever else it throws is
   * taken for a failure that passes. See `fetchTokens`.
   */
  refreshTokens?: RefreshTokens | undefined;
  /** Refuses addresses that are not encrypted, unless on this machine or in a private network. Default: warns. */
  strict?: boolean | undefined;
  /** Told what happens. Default: warnings and errors go to the console. */
  logger?: Logger | undefined;
  /** The place that this runs in. Default: the browser, or Node. */
  platform?: Partial<Platform> | undefined;
}

/** The events of {@link ChatSDK.on}. */
export interface ChatSDKEvents {
  /** The connection came or went. */
  connectivity: { readonly state: ConnectionState };
  /** The user has to sign in again. `error` is null where the user logged out in another tab. */
  sessionEnded: { readonly reason: EndReason; readonly error: RefreshError | null };
  /** The storage failed; the session goes on. */
  storageError: StorageError;
}

/** How long `connect` waits for a connection before it resolves and leaves the rest to the background, in ms. */
const CONNECT_PATIENCE = 10_000;
/** The same once a connection did not come about, in ms: the next try may succeed. */
const OFFLINE_PATIENCE = 2_000;

/** Whom `logout` is for. */
export interface LogoutOptions {
  /** Default: who is connected, or else who connected last on this device. */
  userID?: string | number | undefined;
  /** The same, in the spelling of the wire. */
  userId?: string | number | undefined;
}

/** How a client stands, for people who look for a fault. Holds nothing secret. */
export interface DebugReport {
  readonly apiUrl: string;
  readonly wsUrl: string;
  readonly connectivity: ConnectionState | null;
  /** The tokens, or null where there is no session. */
  readonly auth: AuthReport | null;
}

/** This client's part in a session. */
interface Membership {
  readonly userID: string;
  readonly tokens: Tokens;
  /** Null until it is joined. */
  session: Session | null;
  readonly seat: Seat;
  /** The logouts that it began after. */
  readonly after: unknown;
  readonly ready: Promise<User>;
  readonly fail: (error: unknown) => void;
  /** Lets the process end. */
  readonly go: (() => void) | undefined;
}

/** Where the clients of a page find the logouts that do not know yet whom they are for. */
const LOGOUTS = 'logouts';

/** A chat client for one user at a time. The constructor starts nothing. */
export class ChatSDK {
  readonly #options: ChatSDKOptions;
  readonly #addresses: { readonly apiUrl: string; readonly wsUrl: string };
  readonly #platform: Platform;
  readonly #logger: Logger;
  readonly #events: Emitter<ChatSDKEvents>;
  #membership: Membership | null = null;
  /** Who connected last here. */
  #lastUserID: string | null = null;
  #user: User | null = null;
  #connectivity: ConnectionState | null = null;
  /** What the clients of the page have in common; this client's own where the platform shares nothing. */
  readonly #shared: Map<string, unknown>;

  constructor(options: ChatSDKOptions) {
    this.#logger = redacting(options.logger);
    const strict = options.strict ?? false;
    const apiUrl = readApiUrl(options.apiUrl, this.#logger, strict);
    this.#addresses = { apiUrl, wsUrl: readWsUrl(options.wsUrl, apiUrl, this.#logger, strict) };
    for (const [name, value] of Object.entries(options)) {
      if (typeof value === 'string') refuseApiKey(name, value);
    }
    readBuffer(options.refreshBufferMs);
    this.#options = { ...options };
    this.#platform = { ...webPlatform(), ...options.platform };
    this.#shared = this.#platform.shared?.() ?? new Map();
    this.#events = makeEmitter(this.#logger);
  }

  /** The current user, or null where there is no session: before `connect`, and once the session was left or ended. */
  get user(): User | null {
    return this.#user;
  }

  /** How the connection stands, or null where there is no session. */
  get connectivity(): ConnectionState | null {
    return this.#connectivity;
  }

  /** The current user. Throws {@link NotConnectedError} where {@link user} is null. */
  getCurrentUser(): User {
    if (this.#user === null) throw new NotConnectedError();
    return this.#user;
  }

  /** Calls `listener` at each `event`. Returns what ends it. */
  on<E extends keyof ChatSDKEvents>(event: E, listener: (payload: ChatSDKEvents[E]) => void): () => void {
    return this.#events.on(event, listener);
  }

  /**
   * Signs in with the tokens that your backend got, and connects. Resolves when connected; without a network, two
   * seconds after a connection failed, or after 10 s, resolves all the same and goes on trying. Rejects where the input
   * cannot work (nothing was sent then), where the server said that the session is over, and where `disconnect` came in
   * between.
   * Called again for the same user it takes newer tokens up; for another user it disconnects first.
   */
  connect(input: ConnectInput): Promise<User> {
    let read: ReturnType<typeof readConnectInput>;
    try {
      read = readConnectInput(input, this.#platform.clock.wall(), this.#logger);
      if (typeof this.#platform.webSocket !== 'function') {
        throw new TypeError('There is no WebSocket here: pass platform: { webSocket } (in Node 20: `ws`).');
      }
    } catch (error) {
      return Promise.reject(error);
    }
    const { userID, tokens } = read;
    const membership = this.#membership;
    // What a logout may be about to end is left, and begun anew after it.
    const logouts = this.#shared.get(LOGOUTS);
    if (membership?.userID === userID && (!logouts || membership.after === logouts)) {
      this.#afterLogouts(() => membership.session?.manager.offer(tokens)).catch((error: unknown) => {
        this.#logger.error(String(error));
      });
      return membership.ready;
    }
    void this.#leave(membership);
    return this.#join(userID, tokens);
  }

  /**
   * Closes the connection and forgets the tokens in memory, at once. What is stored stays. Resolves when the socket
   * is closed, which it is not where another client of the same page goes on with it.
   */
  disconnect(): Promise<void> {
    return this.#leave(this.#membership);
  }

  /**
   * Disconnects at once, here and in the other tabs of this browser, removes the stored tokens, and has the
   * server revoke the session. Resolves when that was tried; it is tried again until it is answered. Needs no
   * connection: after a `disconnect`, or in a page just loaded, it ends the session that is stored. What connects after
   * the call is not logged out by it.
   */
  async logout(options: LogoutOptions = {}): Promise<void> {
    const named = options.userID ?? options.userId;
    const membership = this.#membership;
    const userID = named === undefined ? (membership?.userID ?? this.#lastUserID) : readUserID(named);
    const mine = membership?.userID === userID ? membership : null;
    this.#drop(mine);
    const shared = this.#shared;
    if (userID !== null && !shared.has(LOGOUTS)) return this.#logout(userID, mine);
    // Noted at once: what connects from now on begins after it.
    let done: Promise<void> | undefined;
    const turn = this.#afterLogouts(async () => {
      const recalled = userID ?? (await recallUser(this.#lastUser(), this.#platform.timers));
      if (recalled !== null) done = this.#logout(recalled, mine);
      if (shared.get(LOGOUTS) === turn) shared.delete(LOGOUTS);
    });
    shared.set(LOGOUTS, turn);
    await turn;
    await done;
  }

  /**
   * Sends a request to the API as the current user, and resolves with the body of the reply. Where the server says
   * that the token has expired, gets another one and sends the request once more.
   * @param path below `apiUrl`, with a slash at its start
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<unknown> {
    const manager = this.#membership?.session?.manager;
    if (manager === undefined) throw new NotConnectedError();
    return request(this.#platform, this.#addresses.apiUrl, manager, method, path, options);
  }

  /** How it stands: tokens, clocks, storage, the last error. Holds nothing secret, and may be sent to whoever helps. */
  debugAuth(): DebugReport {
    return {
      ...this.#addresses,
      connectivity: this.#connectivity,
      auth: this.#membership?.session?.manager.debug() ?? null,
    };
  }

  /** How it stands, and nothing secret. */
  toJSON(): { apiUrl: string; wsUrl: string; userID: string | null; connectivity: ConnectionState | null } {
    return {
      ...this.#addresses,
      userID: this.#membership?.userID ?? null,
      connectivity: this.#connectivity,
    };
  }

  #session(userID: string): Session {
    return sessionOf({
      ...this.#options,
      ...this.#addresses,
      userID,
      logger: this.#logger,
      platform: this.#platform,
    });
  }

  #join(userID: string, tokens: Tokens): Promise<User> {
    const platform = this.#platform;
    let waited = false;
    let hurried = false;
    let resolve: (user: User) => void = () => {};
    let fail: (error: unknown) => void = () => {};
    const ready = new Promise<User>((...both) => {
      [resolve, fail] = both;
    });
    const cancels: (() => void)[] = [];
    const cancel = (): void => {
      for (const one of cancels) one();
    };
    // Apps that do not wait for connect() learn of its failure from the callbacks; nothing is unhandled.
    ready.then(cancel, cancel);
    const settle = (): void => {
      if (this.#user !== null) resolve(this.#user);
    };
    const settleIn = (ms: number): void => {
      const late = (): void => {
        waited = hurried = true;
        settle();
      };
      cancels.push(platform.timers.after(ms, late));
    };
    settleIn(CONNECT_PATIENCE);
    // Who has left hears nothing more, and a session that is over has no say in the next one.
    const mine = (): boolean => this.#membership === membership;
    const seat: Seat = {
      // With the callbacks of the app.
      ...this.#options,
      onUser: (user) => {
        if (mine()) this.#user = user;
      },
      onState: (state) => {
        if (!mine()) return;
        this.#setConnectivity(state);
        if (state === 'connecting') return;
        if (state === 'connected' || !platform.network.online()) settle();
        else if (!hurried) settleIn(OFFLINE_PATIENCE);
        hurried = true;
      },
      onStorageError: (error) => {
        if (mine()) this.#events.emit('storageError', error);
      },
      onEnded: (reason, error) => {
        if (!mine()) return;
        this.#drop(membership, error);
        this.#events.emit('sessionEnded', { reason, error });
      },
    };
    const membership: Membership = {
      userID,
      tokens,
      session: null,
      seat,
      after: this.#shared.get(LOGOUTS),
      ready,
      fail,
      go: platform.stay?.(),
    };
    this.#membership = membership;
    this.#lastUserID = userID;
    this.#setConnectivity('connecting');
    void this.#afterLogouts(async () => {
      // Left already, out of a listener or while it waited.
      if (!mine()) return;
      // The record in a storage of the app's names the user already.
      if (this.#options.storage === undefined) void rememberUser(this.#lastUser(), platform.timers, userID);
      try {
        membership.session = this.#session(userID);
        await membership.session.join(seat, tokens);
        if (waited && mine()) settle();
      } catch (error) {
        fail(error);
        // It never began: the next connect begins anew.
        void this.#leave(membership);
      }
    });
    return ready;
  }

  /** Lets go of it, where it is still this client's; who waits for it is told why. */
  #drop(membership: Membership | null, error?: Error | null): void {
    if (this.#membership === membership) {
      this.#membership = null;
      this.#user = null;
      this.#connectivity = null;
    }
    membership?.go?.();
    membership?.fail(error ?? new DisconnectedError());
  }

  async #leave(membership: Membership | null): Promise<void> {
    this.#drop(membership);
    await membership?.session?.leave(membership.seat);
  }

  async #logout(userID: string, membership: Membership | null): Promise<void> {
    const session = membership?.session ?? this.#session(userID);
    // What it was about to begin with is revoked, too.
    if (membership?.session === null) session.join(membership.seat, membership.tokens).catch(() => {});
    await session.logout(membership?.seat);
  }

  /** Runs `work` after the logouts that do not know yet whom they are for; at once where there are none. */
  async #afterLogouts(work: () => Promise<void> | undefined): Promise<void> {
    const logouts = this.#shared.get(LOGOUTS);
    if (logouts !== undefined) await logouts;
    await work();
  }

  /** Where it is kept who signed in last. */
  #lastUser(): TokenStorage {
    return this.#options.storage ?? this.#platform.storage(`chatsdk:last:${this.#addresses.apiUrl}`);
  }

  #setConnectivity(state: ConnectionState): void {
    if (this.#connectivity === state) return;
    this.#connectivity = state;
    this.#events.emit('connectivity', { state });
  }
}
