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

export type Host = ReturnType<typeof makeHost>;

export function makeHost(
  onTokenRefresh: TokenManagerOptions['onTokenRefresh'],
  timers: Timers,
  logger: Logger,
) {
  let telling: Promise<unknown> = Promise.resolve();
  let toldRank = Number.NEGATIVE_INFINITY;
  /** How often in a row the app could not take note. */
  let misses = 0;

  async function tellNow(pair: Pair, live: () => boolean): Promise<StorageError | null> {
    if (onTokenRefresh === undefined || !live() || pair.rank <= toldRank) return null;
    toldRank = pair.rank;
    try {
      await within(timers, CALLBACK_TIMEOUT, async () => {
        await onTokenRefresh({ ...pair.tokens });
        // Late is not never: what it has taken note of it is not told again.
        if (live()) toldRank = Math.max(toldRank, pair.rank);
      });
      misses = 0;
      return null;
    } catch (error) {
      misses += 1;
      logger.error(`onTokenRefresh failed: ${String(error)}`);
      return new StorageError('onTokenRefresh failed', error);
    }
  }

  return {
    /**
     * Tells of `pair`, unless that was told, and waits until the app has taken note. Resolves with the error
     * where it could not.
     * @param live whether the session is still there when its turn comes
     */
    tell(pair: Pair, live: () => boolean): Promise<StorageError | null> {
      const told = telling.then(() => tellNow(pair, live));
      telling = told;
      return told;
    },

    /** Another session begins: what was told of the last one does not count. */
    forget(): void {
      toldRank = Number.NEGATIVE_INFINITY;
      misses = 0;
    },

    /**
     * Whether a pair that the app could not take note of is told again before it is used, where the app alone keeps
     * it. An app that never can shall not lock its users out: there are ten tries, or three where the pair in use ends.
     * @param left how long that lives, in ms
     */
    again(left: number): boolean {
      const again = misses < (left > LAST_MINUTE ? 10 : 3);
      if (again) toldRank = Number.NEGATIVE_INFINITY;
      else misses = 0;
      return again;
    },
  };
}

/** Tells an app's `onRefreshError` why the session could not be refreshed. */
export function reportTo(
  onRefreshError: NonNullable<TokenManagerOptions['onRefreshError']>,
  error: RefreshError,
  logger: Logger,
): void {
  guarded(
    () => onRefreshError(error),
    (thrown) => logger.error(`onRefreshError failed: ${String(thrown)}`),
  );
}
