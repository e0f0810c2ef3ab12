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

/** The outcome of `work`, or a rejection with {@link TimeoutError} after `ms`. What is late is ignored. */
export function within<T>(timers: Timers, ms: number, work: () => T | Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = timers.after(ms, () => reject(new TimeoutError(`no answer within ${ms} ms`)));
    // Called inside a promise, so that a throw is a rejection like any other.
    new Promise<T>((begin) => begin(work())).then(resolve, reject).finally(cancel);
  });
}
