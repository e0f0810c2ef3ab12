/** What the page shows: one user, signed in through the real SDK. A store for `useSyncExternalStore`. */
import { ChatSDK, type User } from '@chatsdk/core';
import { type Config, fetchConfig, fetchTokens } from './backend.ts';

/** How the session stands, in the words of the page. */
export type Phase = 'connecting' | 'connected' | 'offline' | 'ended' | 'failed';

/** Everything that the page shows, at one moment. */
export interface View {
  readonly phase: Phase;
  /** Why it ended or failed. */
  readonly reason: string;
  readonly user: User | null;
  readonly config: Config | null;
  /** How often the tokens were refreshed since the page was opened. */
  readonly refreshes: number;
  /** When the access token in use expires, in ms since the Unix epoch. */
  readonly expiresAt: number | null;
  readonly log: readonly LogEntry[];
}

/** Something that happened. */
export interface LogEntry {
  readonly id: number;
  readonly at: Date;
  readonly text: string;
}

/** So many of the latest entries are kept. */
const LOG_LENGTH = 50;

const EMPTY: View = {
  phase: 'connecting',
  reason: '',
  user: null,
  config: null,
  refreshes: 0,
  expiresAt: null,
  log: [],
};

export class Demo {
  readonly #userId: string;
  readonly #ttl: string | null;
  readonly #listeners = new Set<() => void>();
  #view: View = EMPTY;
  #sdk: ChatSDK | null = null;
  #entries = 0;
  /** Grows with each start and stop; what was begun before compares it and goes no further. */
  #run = 0;

  constructor(userId: string, ttl: string | null) {
    this.#userId = userId;
    this.#ttl = ttl;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  readonly view = (): View => this.#view;

  /** Gets tokens from the backend, and connects. */
  async start(): Promise<void> {
    this.stop();
    const run = this.#run;
    this.#set({ phase: 'connecting', reason: '' });
    try {
      const [config, tokens] = await Promise.all([fetchConfig(), fetchTokens(this.#userId, this.#ttl)]);
      if (run !== this.#run) return;
      this.#log('Your backend handed out tokens');
      this.#set({ config, expiresAt: tokens.expiresAt });
      const sdk = new ChatSDK({
        apiUrl: config.apiUrl,
        wsUrl: config.wsUrl,
        onTokenRefresh: ({ expiresAt }) => {
          if (run !== this.#run) return;
          this.#set({ refreshes: this.#view.refreshes + 1, expiresAt });
          this.#log('Tokens refreshed');
        },
        onRefreshError: (error) => this.#log(error.message),
      });
      this.#sdk = sdk;
      sdk.on('connectivity', ({ state }) => {
        this.#set({ phase: state, user: sdk.user ?? this.#view.user });
        this.#log({ connecting: 'Connecting', connected: 'Connected', offline: 'Connection lost' }[state]);
      });
      sdk.on('sessionEnded', ({ error }) => this.#end(error?.message ?? 'you signed out in another tab.'));
      const user = await sdk.connect({
        userID: this.#userId,
        token: tokens.accessToken,
        refreshToken: tokens.refreshToken,
        expiresAt: tokens.expiresAt,
      });
      if (run === this.#run) this.#set({ user });
    } catch (error) {
      if (run !== this.#run || this.#view.phase === 'ended') return;
      const reason = error instanceof Error ? error.message : String(error);
      this.#set({ phase: 'failed', reason });
      this.#log(`Could not sign in: ${reason}`);
    }
  }

  /** Closes the connection; the session stays alive. */
  stop(): void {
    this.#run += 1;
    void this.#sdk?.disconnect();
    this.#sdk = null;
  }

  /** Ends the session. */
  async signOut(): Promise<void> {
    const sdk = this.#sdk;
    this.#run += 1;
    this.#sdk = null;
    this.#end('you signed out.');
    await sdk?.logout();
  }

  #end(reason: string): void {
    this.#set({ phase: 'ended', reason, expiresAt: null });
    this.#log(`Signed out: ${reason}`);
  }

  #log(text: string): void {
    const entry: LogEntry = { id: ++this.#entries, at: new Date(), text };
    this.#set({ log: [entry, ...this.#view.log].slice(0, LOG_LENGTH) });
  }

  #set(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener();
  }
}
