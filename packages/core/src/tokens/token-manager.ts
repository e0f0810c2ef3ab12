/** The tokens alone, for apps that bring their own socket. */
import { redacting } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import { webPlatform } from '../platform/web.ts';
import type { User } from '../user.ts';
import type { AuthReport, TokenEvents, TokenManagerOptions, TokenState } from './events.ts';
import { reportTo } from './host.ts';
import { type Manager, makeManager } from './manager.ts';
import type { Tokens } from './types.ts';

/** Keeps an access token alive from {@link TokenManager.start} to {@link TokenManager.stop}. */
export class TokenManager {
  readonly #manager: Manager;
  readonly #platform: Platform;

  constructor(options: TokenManagerOptions) {
    const logger = redacting(options.logger);
    const { platform = webPlatform(), onRefreshError } = options;
    this.#platform = platform;
    this.#manager = makeManager({
      ...options,
      onRefreshError: (error) => {
        if (onRefreshError) reportTo(onRefreshError, error, logger);
        else logger.error(error.message);
      },
      logger,
      platform,
      // Asked at each time: what does not say so is no reason to let the token end.
      inUse: () => options.inUse?.() ?? true,
    });
  }

  /** Where the token stands. */
  get state(): TokenState {
    return this.#manager.state;
  }

  /** The pair in use, or null before the start, after the stop and after the end. */
  get tokens(): Tokens | null {
    return this.#manager.tokens;
  }

  /** Whom the token speaks for, or null. */
  get user(): User | null {
    return this.#manager.user;
  }

  /** Calls `listener` at each `event`. Returns what ends it. */
  on<E extends keyof TokenEvents>(event: E, listener: (payload: TokenEvents[E]) => void): () => void {
    return this.#manager.on(event, listener);
  }

  /**
   * Begins with the pair that the host gave, or with a newer one of the same session that is in storage.
   * Does not wait for a refresh. Rejects with {@link InvalidInputError} where the token is not one of the
   * user's. Once begun, takes the pair up where it is newer.
   */
  start(given: Tokens): Promise<void> {
    return this.#manager.start(given);
  }

  /** Takes up a pair that the host got meanwhile, where it is newer than the one in use. */
  offer(given: Tokens): Promise<void> {
    return this.#manager.offer(given);
  }

  /**
   * A token that works now. Resolves at once while the one in use lives, and refreshes behind where its end
   * is near; waits for a refresh where it has ended.
   * @param options.minTtl how long the token should live, in ms; default 30 s
   * @param options.refused the token that the server refused: another one is got, unless it was got meanwhile
   */
  getToken(options?: { minTtl?: number; refused?: string }): Promise<string> {
    return this.#held(() => this.#manager.getToken(options));
  }

  /**
   * A token that works now and is not `refused`, however long that takes. Rejects when the session ends or
   * is closed.
   * @param ending it was not refused, but is about to end: it will do where nothing can replace it
   */
  tokenOtherThan(refused: string | null, ending?: boolean): Promise<string> {
    return this.#held(() => this.#manager.tokenOtherThan(refused, ending));
  }

  /** Closes the session here, at once. What is stored stays, for the next start. */
  stop(): void {
    this.#manager.stop();
  }

  /**
   * Ends the session for every tab of this browser, at once here, and has the server revoke it: resolves when
   * it was asked, and goes on asking where it did not answer. Works without a start too, for the session that is
   * stored.
   */
  logout(): Promise<void> {
    return this.#manager.logout();
  }

  /** How it stands, for people who look for a fault. Holds nothing secret. */
  debug(): AuthReport {
    return this.#manager.debug();
  }

  /** Whoever waits for a token has to live: in an outage nothing but timers may be left of that, which hold nobody. */
  async #held(ask: () => Promise<string>): Promise<string> {
    const go = this.#platform.stay?.();
    try {
      return await ask();
    } finally {
      go?.();
    }
  }
}
