/** The way in: wires tokens and socket together, and owns no logic of either. */
import { readApiUrl, readWsUrl } from './address.ts';
import { Emitter } from './emitter.ts';
import { DisconnectedError, NotConnectedError, type RefreshError, type StorageError } from './errors.ts';
import { type Logger, redacting, silent } from './logger.ts';
import type { Platform } from './platform/platform.ts';
import { webPlatform } from './platform/web.ts';
import { Connection, type ConnectionState } from './realtime/connection.ts';
import type { EndReason } from './tokens/events.ts';
import { type ConnectInput, readConnectInput, refuseApiKey } from './tokens/input.ts';
import { readBuffer, TokenManager } from './tokens/manager.ts';
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
  /** Where the SDK keeps the pair. Default: `localStorage` in browsers, memory elsewhere. */
  storage?: TokenStorage | undefined;
  /** Asks your backend for the next pair, where it keeps the refresh token in a cookie. */
  refreshTokens?: (() => Promise<Partial<Tokens>>) | undefined;
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
  /** Tokens could not be saved; the session goes on in memory. */
  storageError: StorageError;
}

/** How long `connect` waits for a connection before it resolves and leaves the rest to the background, in ms. */
const CONNECT_PATIENCE = 10_000;

interface Session {
  readonly userID: string;
  readonly manager: TokenManager;
  readonly connection: Connection;
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
  #session: Session | null = null;
  #user: User | null = null;
  #connectivity: ConnectionState | null = null;

  constructor(options: ChatSDKOptions) {
    this.#logger = redacting(options.logger ?? silent);
    this.#apiUrl = readApiUrl(options.apiUrl, this.#logger);
    this.#wsUrl = readWsUrl(options.wsUrl, this.#apiUrl, this.#logger);
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
        throw new TypeError(
          'There is no WebSocket here: pass platform: { webSocket } (in Node 20, that of `ws`).',
        );
      }
    } catch (error) {
      return Promise.reject(error);
    }
    const { userID, tokens } = read;
    if (this.#session?.userID === userID) {
      const { manager, ready } = this.#session;
      void manager.offer(tokens);
      return ready;
    }
    this.#leave();
    const session = this.#begin(userID, tokens);
    this.#session = session;
    // Apps that do not wait for connect() learn of its failure from the callbacks; nothing is unhandled.
    session.ready.catch(() => {});
    return session.ready;
  }

  /** Closes the connection and forgets the tokens in memory, at once. What is stored stays. */
  disconnect(): Promise<void> {
    this.#leave();
    return Promise.resolve();
  }

  /**
   * Disconnects at once, here and in the other tabs of this browser, removes the stored tokens, and has the
   * server revoke the session. Resolves when that was tried; it is tried again until it is answered.
   */
  async logout(): Promise<void> {
    const manager = this.#session?.manager;
    const done = manager?.logout();
    this.#leave();
    await done;
  }

  /** How it stands, and nothing secret. */
  toJSON(): { apiUrl: string; wsUrl: string; userID: string | null; connectivity: ConnectionState | null } {
    return {
      apiUrl: this.#apiUrl,
      wsUrl: this.#wsUrl,
      userID: this.#session?.userID ?? null,
      connectivity: this.#connectivity,
    };
  }

  #begin(userID: string, tokens: Tokens): Session {
    const { refreshBufferMs, onTokenRefresh, onRefreshError, storage, refreshTokens } = this.#options;
    const platform = this.#platform;
    const manager = new TokenManager({
      apiUrl: this.#apiUrl,
      userID,
      refreshBufferMs,
      onTokenRefresh,
      onRefreshError,
      storage,
      refreshTokens,
      logger: this.#logger,
      platform,
      inUse: () => connection.connected,
    });
    let connected = (): void => {};
    let fail: (error: Error) => void = () => {};
    const connection = new Connection({
      url: this.#wsUrl,
      tokens: manager,
      platform,
      logger: this.#logger,
      onState: (state) => {
        this.#setConnectivity(state);
        if (state === 'connected') connected();
      },
    });
    let sid: string | null = null;
    manager.on('tokens', (now) => {
      this.#user = now.user;
      // Another tab signed the same user in anew: what is open still belongs to the old session.
      if (sid !== null && now.sid !== null && now.sid !== sid) connection.restart();
      sid = now.sid;
    });
    manager.on('storageError', (error) => this.#events.emit('storageError', error));
    manager.on('ended', ({ reason, error }) => {
      this.#session = null;
      connection.close();
      this.#connectivity = null;
      fail(error ?? new DisconnectedError());
      this.#events.emit('sessionEnded', { reason, error });
    });
    const ready = new Promise<User>((resolve, reject) => {
      const settle = (): void => {
        cancel();
        if (this.#user !== null) resolve(this.#user);
      };
      const cancel = platform.timers.after(CONNECT_PATIENCE, settle);
      connected = settle;
      fail = (error) => {
        cancel();
        reject(error);
      };
      this.#setConnectivity('connecting');
      manager.start(tokens).then(() => {
        if (manager.tokens === null) return;
        connection.open();
        if (!platform.network.online()) {
          this.#setConnectivity('offline');
          settle();
        }
      }, reject);
    });
    return { userID, manager, connection, ready, fail: (error) => fail(error) };
  }

  #leave(): void {
    const session = this.#session;
    this.#session = null;
    this.#user = null;
    this.#connectivity = null;
    if (session === null) return;
    session.manager.stop();
    session.connection.close();
    session.fail(new DisconnectedError());
  }

  #setConnectivity(state: ConnectionState): void {
    if (this.#connectivity === state) return;
    this.#connectivity = state;
    this.#events.emit('connectivity', { state });
  }
}
