/** The way in: wires tokens and socket together, and owns no logic of either. */
import { readApiUrl, readWsUrl } from './address.ts';
import { Emitter } from './emitter.ts';
import {
  DisconnectedError,
  type HostSessionEndedError,
  NotConnectedError,
  type RefreshError,
  type StorageError,
} from './errors.ts';
import { type Logger, redacting, silent } from './logger.ts';
import type { Platform } from './platform/platform.ts';
import { webPlatform } from './platform/web.ts';
import type { ConnectionState } from './realtime/connection.ts';
import { type RequestOptions, request } from './rest.ts';
import { type Seat, Session } from './session.ts';
import type { AuthReport, EndReason } from './tokens/events.ts';
import { type ConnectInput, readConnectInput, refuseApiKey } from './tokens/input.ts';
import { LastUser } from './tokens/last-user.ts';
import { readBuffer } from './tokens/manager.ts';
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
  /** Where the SDK keeps the pair. Default: `localStorage` in browsers; memory elsewhere, and with `refreshTokens`. */
  storage?: TokenStorage | undefined;
  /**
   * Asks your backend for the next pair, where it keeps the refresh token in a cookie. Resolves with
   * `{accessToken, expiresAt}`. Throws {@link HostSessionEndedError} where nobody is signed in there, which ends the
   * session; whatever else it throws is taken for a failure that passes. See `fetchTokens`.
   */
  refreshTokens?: (() => Promise<Partial<Tokens>>) | undefined;
  /** Refuses addresses that are not encrypted, unless on this machine or in a private network. Default: warns. */
  strict?: boolean | undefined;
  /** Told what happens. Default: nobody. */
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

/** Whom `logout` is for. */
export interface LogoutOptions {
  /** Default: who is connected, or else who connected last on this device. */
  userID?: string;
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
  readonly session: Session;
  readonly seat: Seat;
  readonly ready: Promise<User>;
  readonly fail: (error: Error) => void;
}

/** A chat client for one user at a time. The constructor starts nothing. */
export class ChatSDK {
  readonly #options: ChatSDKOptions;
  readonly #apiUrl: string;
  readonly #wsUrl: string;
  readonly #platform: Platform;
  readonly #logger: Logger;
  readonly #events: Emitter<ChatSDKEvents>;
  #membership: Membership | null = null;
  /** Who connected last here. */
  #lastUserID: string | null = null;
  #user: User | null = null;
  #connectivity: ConnectionState | null = null;

  constructor(options: ChatSDKOptions) {
    this.#logger = redacting(options.logger ?? silent);
    const strict = options.strict ?? false;
    this.#apiUrl = readApiUrl(options.apiUrl, this.#logger, strict);
    this.#wsUrl = readWsUrl(options.wsUrl, this.#apiUrl, this.#logger, strict);
    for (const [name, value] of Object.entries(options)) {
      if (typeof value === 'string') refuseApiKey(name, value);
    }
    readBuffer(options.refreshBufferMs);
    this.#options = { ...options };
    this.#platform = { ...webPlatform(), ...options.platform };
    this.#events = new Emitter((error) => this.#logger.error(`A listener threw: ${String(error)}`));
  }

  /** The current user, or null before the first connect and after a disconnect. */
  get user(): User | null {
    return this.#user;
  }

  /** How the connection stands, or null where there is no session. */
  get connectivity(): ConnectionState | null {
    return this.#connectivity;
  }

  /** The current user. Throws {@link NotConnectedError} before the first connect and after a disconnect. */
  getCurrentUser(): User {
    if (this.#user === null) throw new NotConnectedError();
    return this.#user;
  }

  /** Calls `listener` at each `event`. Returns what ends it. */
  on<E extends keyof ChatSDKEvents>(event: E, listener: (payload: ChatSDKEvents[E]) => void): () => void {
    return this.#events.on(event, listener);
  }

  /**
   * Signs in with the tokens that your backend got, and connects. Resolves when connected; without a network,
   * or after 10 s, resolves all the same and goes on trying. Rejects where the input cannot work (nothing was
   * sent then), where the server said that the session is over, and where `disconnect` came in between.
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
    if (this.#membership?.userID === userID) {
      const { session, ready } = this.#membership;
      session.manager.offer(tokens).catch((error: unknown) => {
        this.#logger.error(String(error));
      });
      return ready;
    }
    void this.#leave();
    return this.#join(userID, tokens);
  }

  /**
   * Closes the connection and forgets the tokens in memory, at once. What is stored stays. Resolves when the socket
   * is closed, which it is not where another client of the same page goes on with it.
   */
  disconnect(): Promise<void> {
    return this.#leave();
  }

  /**
   * Disconnects at once, here and in the other tabs of this browser, removes the stored tokens, and has the
   * server revoke the session. Resolves when that was tried; it is tried again until it is answered. Needs no
   * connection: after a `disconnect`, or in a page just loaded, it ends the session that is stored.
   */
  async logout(options: LogoutOptions = {}): Promise<void> {
    const lastUser = this.#lastUser();
    const { userID = this.#membership?.userID ?? this.#lastUserID ?? (await lastUser.recall()) } = options;
    if (userID === null) return;
    const membership = this.#membership?.userID === userID ? this.#membership : null;
    const done = (membership?.session ?? this.#session(userID)).logout(membership?.seat);
    if (membership !== null) void this.#leave();
    await done;
    await lastUser.forget(userID);
  }

  /**
   * Sends a request to the API as the current user, and resolves with the body of the reply. Where the server says
   * that the token has expired, gets another one and sends the request once more.
   * @param path below `apiUrl`, with a slash at its start
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<unknown> {
    const manager = this.#membership?.session.manager;
    if (manager === undefined) throw new NotConnectedError();
    return await request(this.#platform, this.#apiUrl, manager, method, path, options);
  }

  /** How it stands: tokens, clocks, storage, the last error. Holds nothing secret, and may be sent to whoever helps. */
  debugAuth(): DebugReport {
    return {
      apiUrl: this.#apiUrl,
      wsUrl: this.#wsUrl,
      connectivity: this.#connectivity,
      auth: this.#membership?.session.manager.debug() ?? null,
    };
  }

  /** How it stands, and nothing secret. */
  toJSON(): { apiUrl: string; wsUrl: string; userID: string | null; connectivity: ConnectionState | null } {
    return {
      apiUrl: this.#apiUrl,
      wsUrl: this.#wsUrl,
      userID: this.#membership?.userID ?? null,
      connectivity: this.#connectivity,
    };
  }

  #session(userID: string): Session {
    const { refreshBufferMs, storage, refreshTokens } = this.#options;
    return Session.of({
      apiUrl: this.#apiUrl,
      wsUrl: this.#wsUrl,
      userID,
      refreshBufferMs,
      storage,
      hosted: refreshTokens !== undefined,
      logger: this.#logger,
      platform: this.#platform,
    });
  }

  #join(userID: string, tokens: Tokens): Promise<User> {
    const { onTokenRefresh, onRefreshError, refreshTokens } = this.#options;
    const platform = this.#platform;
    const session = this.#session(userID);
    let waited = false;
    let settle = (): void => {};
    let fail: (error: unknown) => void = () => {};
    const seat: Seat = {
      onTokenRefresh,
      onRefreshError,
      refreshTokens,
      onUser: (user) => {
        this.#user = user;
      },
      onState: (state) => {
        this.#setConnectivity(state);
        if (state === 'connected') settle();
      },
      onStorageError: (error) => this.#events.emit('storageError', error),
      onEnded: (reason, error) => {
        this.#membership = null;
        this.#connectivity = null;
        fail(error ?? new DisconnectedError());
        this.#events.emit('sessionEnded', { reason, error });
      },
    };
    const ready = new Promise<User>((resolve, reject) => {
      settle = () => {
        cancel();
        if (this.#user !== null) resolve(this.#user);
      };
      const cancel = platform.timers.after(CONNECT_PATIENCE, () => {
        waited = true;
        settle();
      });
      fail = (error) => {
        cancel();
        reject(error);
      };
    });
    // Apps that do not wait for connect() learn of its failure from the callbacks; nothing is unhandled.
    ready.catch(() => {});
    const membership: Membership = { userID, session, seat, ready, fail };
    this.#membership = membership;
    this.#lastUserID = userID;
    this.#setConnectivity('connecting');
    void this.#lastUser().remember(userID);
    session.join(seat, tokens).then(
      () => {
        if (this.#membership !== membership) return;
        const online = platform.network.online();
        if (!online) this.#setConnectivity('offline');
        if (!online || waited) settle();
      },
      (error: unknown) => {
        fail(error);
        // It never began: the next connect begins anew.
        if (this.#membership === membership) void this.#leave();
      },
    );
    return ready;
  }

  async #leave(): Promise<void> {
    const membership = this.#membership;
    this.#membership = null;
    this.#user = null;
    this.#connectivity = null;
    if (membership === null) return;
    const left = membership.session.leave(membership.seat);
    membership.fail(new DisconnectedError());
    await left;
  }

  #lastUser(): LastUser {
    const { storage } = this.#options;
    const platform = this.#platform;
    const place = storage ?? platform.storage(`chatsdk:${this.#apiUrl}`);
    return new LastUser(place, storage !== undefined, platform.timers);
  }

  #setConnectivity(state: ConnectionState): void {
    if (this.#connectivity === state) return;
    this.#connectivity = state;
    this.#events.emit('connectivity', { state });
  }
}
