/** A row of failed refreshes: how long to wait, what to call it, and when it is worth telling the host of. */
import { RefreshError } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import type { Trouble } from './request.ts';
import { backoff } from './schedule.ts';

/** What follows from one more failure. */
export interface Consequence {
  readonly error: RefreshError;
  /** How long to wait until the next try, in ms. */
  readonly delay: number;
  /** Whether the host is to be told now. */
  readonly report: boolean;
}

export function makeOutage({ clock, network, random }: Platform) {
  let failures = 0;
  let since = 0;
  let reported = false;
  let last: RefreshError | null = null;
  return {
    /** The last failure, or null where the last refresh succeeded. */
    get error(): RefreshError | null {
      return last;
    },

    /** How many refreshes in a row have failed. */
    get failures(): number {
      return failures;
    },

    /** A refresh succeeded, or the session is over. */
    over(): void {
      failures = 0;
      reported = false;
      last = null;
    },

    /** Counts a failure. `usable` says whether the access token still works. */
    failed(trouble: Trouble, usable: boolean): Consequence {
      const { kind, reason, retryAfterMs, status } = trouble;
      const now = clock.mono();
      if (failures === 0) since = now;
      failures += 1;
      const misconfigured = kind === 'configuration';
      const slow = misconfigured || status === 400 || !network.online();
      const delay = Math.max(backoff(failures, random()), retryAfterMs, slow ? 60_000 : 0);

      const message = `Network error: could not refresh the chat session (attempt ${failures}; will keep retrying): ${reason}`;
      const code = kind === 'storage' ? 'storage_failed' : kind;
      const error = new RefreshError(kind, code, message, failures, trouble);
      last = error;

      // While the token works, nobody is told: it may be over before anybody would notice. An address that is
      // wrong does not get right by itself, so that is told as soon as it matters.
      const patient = failures >= 5 && now - since >= 30_000;
      const report = !usable && !reported && (patient || misconfigured);
      reported ||= report;
      return { error, delay, report };
    },
  };
}
