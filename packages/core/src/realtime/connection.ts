/**
 * The socket. The only file that knows `centrifuge`, whose client keeps the connection up and asks for a
 * token before each attempt and when the connection's time is nearly over. What it considers final (a refused
 * token, a revoked session) is answered here by one refresh: only the answer to that can end a session.
 */
import { Centrifuge, UnauthorizedError } from 'centrifuge';
import type { Logger } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import { backoff } from '../tokens/schedule.ts';

/** `offline` is everything between a loss and the next success; it heals by itself. */
export type ConnectionState = 'connecting' | 'connected' | 'offline';

/** Where the connection gets its tokens. */
export interface TokenSource {
  /**
   * A token that works and is not `refused`, however long that takes. Rejects when the session is over.
   * @param ending it is only about to end: where nothing can replace it, it will do until the server refuses it
   */
  tokenOtherThan(refused: string | null, ending?: boolean): Promise<string>;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly tokens: TokenSource;
  readonly platform: Platform;
  readonly logger: Logger;
  readonly onState: (state: ConnectionState) => void;
}

/** Close codes that speak about the token: invalid, or of a session that is over. */
const REFUSED = [3500, 3503];
/** The token had expired. */
const TOKEN_EXPIRED = 109;
/** `disconnect()` was called, and `getToken` said that there is no session. */
const OURS = [0, 1];

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #client: Centrifuge;
  #open = false;
  /** The token of the last attempt, or of the last refresh in band. */
  #sent: string | null = null;
  /** The server would not have `#sent`. */
  #refused = false;
  /** Closes in a row that centrifuge takes for final. */
  #closes = 0;
  #cancelRetry = (): void => {};
  #cancelCalm = (): void => {};

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { platform, url } = options;
    this.#client = new Centrifuge(url, {
      name: 'chatsdk-js',
      getToken: () => this.#token(),
      websocket: platform.webSocket,
      networkEventTarget: networkTarget(platform),
    });
    this.#client.on('connecting', ({ code, reason }) => {
      options.logger.debug(`Socket: connecting (${code} ${reason})`);
      // An empty token makes the client ask for one at each attempt, and not use an old one up first.
      this.#client.setToken('');
      if (code !== 0) this.#lost();
    });
    this.#client.on('error', ({ type, error }) => {
      options.logger.debug(`Socket: ${type} error ${error.code} ${error.message}`);
      if (error.code === TOKEN_EXPIRED) this.#refused = true;
      if (this.#client.state === 'connecting') {
        this.#client.setToken('');
        if (type !== 'connectToken') this.#lost();
      }
    });
    this.#client.on('connected', () => {
      this.#refused = false;
      this.#cancelCalm();
      this.#cancelCalm = platform.timers.after(60_000, () => {
        this.#closes = 0;
      });
      options.onState('connected');
    });
    this.#client.on('disconnected', ({ code, reason }) => this.#onDisconnected(code, reason));
  }

  /** Whether the server has accepted the connection and it is up. */
  get connected(): boolean {
    return this.#client.state === 'connected';
  }

  /** Connects, and stays connected until {@link close}. */
  open(): void {
    if (this.#open) return;
    this.#open = true;
    this.#client.connect();
    this.#options.onState('connecting');
  }

  /** Connects anew, as whoever the tokens now speak for. Nobody is told of the gap unless it lasts. */
  restart(): void {
    if (!this.#open || !this.connected) return;
    this.#client.disconnect();
    this.#client.connect();
  }

  /** Closes for good, at once. */
  close(): void {
    this.#open = false;
    this.#cancelRetry();
    this.#cancelCalm();
    this.#client.disconnect();
  }

  async #token(): Promise<string> {
    // While connected, the client asks because the time of the token that it sent is nearly over.
    const another = this.#refused || this.connected;
    try {
      const token = await this.#options.tokens.tokenOtherThan(another ? this.#sent : null, !this.#refused);
      this.#sent = token;
      this.#refused = false;
      return token;
    } catch (error) {
      // The session is over, and this connection with it; or it was left and begun anew, and asks again.
      throw this.#open ? error : new UnauthorizedError('the session is over');
    }
  }

  #onDisconnected(code: number, reason: string): void {
    this.#cancelCalm();
    if (!this.#open || OURS.includes(code)) return;
    this.#options.logger.debug(`Socket: closed (${code} ${reason})`);
    this.#lost();
    const refused = REFUSED.includes(code) || code === TOKEN_EXPIRED;
    if (refused) this.#refused = true;
    this.#closes += 1;
    // The first refusal is answered at once: the wait for another token is wait enough.
    const { timers, random } = this.#options.platform;
    const delay = refused && this.#closes === 1 ? 0 : Math.max(1_000, backoff(this.#closes + 2, random()));
    this.#cancelRetry();
    this.#cancelRetry = timers.after(delay, () => {
      if (this.#open) this.#client.connect();
    });
  }

  #lost(): void {
    if (this.#open) this.#options.onState('offline');
  }
}

/** The platform's network as the event target that centrifuge listens on. */
function networkTarget(platform: Platform): EventTarget {
  const undo = new Map<unknown, () => void>();
  return {
    addEventListener: (type: string, listener: unknown) => {
      const call = listener as () => void;
      undo.set(
        listener,
        platform.network.subscribe((online) => {
          if (online === (type === 'online')) call();
        }),
      );
    },
    removeEventListener: (_type: string, listener: unknown) => {
      undo.get(listener)?.();
      undo.delete(listener);
    },
    dispatchEvent: () => false,
  };
}
