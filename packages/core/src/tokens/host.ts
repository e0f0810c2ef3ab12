/** The callbacks of the app: bounded in time, in order, and unable to harm what calls them. */
import { type RefreshError, StorageError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Timers } from '../platform/platform.ts';
import { guarded, within } from '../within.ts';
import type { TokenManagerOptions } from './events.ts';
import type { Pair } from './types.ts';

/** How long `onTokenRefresh` is waited for, in ms. */
const CALLBACK_TIMEOUT = 5_000;
/** A token that lives no longer, in ms, is about to end. */
const LAST_MINUTE = 60_000;

export class Host {
  readonly #options: TokenManagerOptions;
  readonly #timers: Timers;
  readonly #logger: Logger;
  #telling: Promise<void> = Promise.resolve();
  #toldRank = Number.NEGATIVE_INFINITY;
  /** How often in a row the app could not take note. */
  #misses = 0;

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
    this.#misses = 0;
  }

  /**
   * Whether a pair that the app could not take note of is told again before it is used, where the app alone keeps it.
   * An app that never can shall not lock its users out: there are ten tries, or three where the pair in use ends.
   * @param left how long that lives, in ms
   */
  again(left: number): boolean {
    const again = this.#misses < (left > LAST_MINUTE ? 10 : 3);
    if (again) this.#toldRank = Number.NEGATIVE_INFINITY;
    else this.#misses = 0;
    return again;
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
      await within(this.#timers, CALLBACK_TIMEOUT, async () => {
        await onTokenRefresh({ ...pair.tokens });
        // Late is not never: what it has taken note of it is not told again.
        if (live()) this.#toldRank = Math.max(this.#toldRank, pair.rank);
      });
      this.#misses = 0;
      return null;
    } catch (error) {
      this.#misses += 1;
      this.#logger.error(`onTokenRefresh failed: ${String(error)}`);
      return new StorageError('onTokenRefresh failed', error);
    }
  }
}
