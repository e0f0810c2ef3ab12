/** Bounds for what others promise. */
import type { Timers } from './platform/platform.ts';

/** Calls what the app gave, and tells `onThrow` what it throws or rejects with. Neither reaches the caller. */
export function guarded(
  call: () => void | Promise<void>,
  onThrow: (error: unknown) => void = () => {},
): void {
  new Promise<void>((begin) => begin(call())).catch(onThrow);
}

/** It did not happen in time. */
export class TimeoutError extends Error {
  override name = 'TimeoutError';
}

/**
 * The outcome of `work`, or a rejection with {@link TimeoutError} after `ms`. What is late is ignored; the signal tells
 * `work` that nobody waits for it any more, because of the time or because `outer` says so.
 */
export function within<T>(
  timers: Timers,
  ms: number,
  work: (signal: AbortSignal) => T | Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const abort = new AbortController();
  const give = (): void => abort.abort();
  if (outer?.aborted) give();
  outer?.addEventListener('abort', give);
  let cancel = (): void => {};
  return Promise.race([
    // Called inside a promise, so that a throw is a rejection like any other.
    new Promise<T>((begin) => begin(work(abort.signal))),
    new Promise<never>((_, reject) => {
      cancel = timers.after(ms, () => reject(new TimeoutError(`no answer within ${ms} ms`)));
    }),
  ]).finally(() => {
    cancel();
    outer?.removeEventListener('abort', give);
    give();
  });
}
