/** The callbacks of the app: bounded in time, in order, and unable to harm what calls them. */
import { type RefreshError, StorageError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Timers } from '../platform/platform.ts';
import { guarded, within } from '../within.ts';
import type { TokenManagerOptions } from './events.ts';
import type { Pair } from './types.ts';

/** How long `onTokenRefresh` is waited for, in ms. */
const CALLBACK_TIMEOUT = 5_000;

export class Host {
  readonly #options: TokenManagerOptions;
  readonly #timers: Timers;
  readonly #logger: Logger;
  #telling: Promise<void> = Promise.resolve();
  #toldRank = Number.NEGATIVE_INFINITY;

  constructor(options: TokenManagerOptions, timers: Timers, logger: Logger) {
    this.#options = options;
    this.#timers = timers;
    this.#logger = logger;
  }

  /**
   * Tells of `pair`, unless that was told, and waits until the app has taken note. Resolves with the error
   * where it could not.
   * @param live whether the session is still there when its turn comes
   */
  tell(pair: Pair, live: () => boolean): Promise<StorageError | null> {
    const told = this.#telling.then(() => this.#tell(pair, live));
    this.#telling = told.then(() => {});
    return told;
  }

  /** Another session begins: what was told of the last one does not count. */
  forget(): void {
    this.#toldRank = Number.NEGATIVE_INFINITY;
  }

  /** Tells why the session could not be refreshed. */
  report(error: RefreshError): void {
    const { onRefreshError } = this.#options;
    if (onRefreshError === undefined) {
      this.#logger.error(error.message);
      return;
    }
    guarded(
      () => onRefreshError(error),
      (thrown) => this.#logger.error(`onRefreshError failed: ${String(thrown)}`),
    );
  }

  async #tell(pair: Pair, live: () => boolean): Promise<StorageError | null> {
    const { onTokenRefresh } = this.#options;
    if (onTokenRefresh === undefined || !live() || pair.rank <= this.#toldRank) return null;
    this.#toldRank = pair.rank;
    try {
      await within(this.#timers, CALLBACK_TIMEOUT, () => onTokenRefresh({ ...pair.tokens }));
      return null;
    } catch (error) {
      this.#logger.error(`onTokenRefresh failed: ${String(error)}`);
      return new StorageError('onTokenRefresh failed', error);
    }
  }
}
