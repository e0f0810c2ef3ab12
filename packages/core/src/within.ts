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

/** The same as {@link within}; the signal tells `work` that nobody waits for it any more, for `outer` says so or it took `ms`. */
export async function abortable<T>(
  timers: Timers,
  ms: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const give = (): void => abort.abort();
  if (outer?.aborted) give();
  outer?.addEventListener('abort', give, { once: true });
  try {
    return await within(timers, ms, () => work(abort.signal));
  } finally {
    outer?.removeEventListener('abort', give);
    give();
  }
}

/** The outcome of `work`, or a rejection with {@link TimeoutError} after `ms`. What is late is ignored. */
export function within<T>(timers: Timers, ms: number, work: () => T | Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = timers.after(ms, () => reject(new TimeoutError(`no answer within ${ms} ms`)));
    // Called inside a promise, so that a throw is a rejection like any other.
    new Promise<T>((begin) => begin(work())).then(resolve, reject).finally(cancel);
  });
}
