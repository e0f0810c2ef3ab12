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

export class Outage {
  readonly #platform: Platform;
  #failures = 0;
  #since = 0;
  #reported = false;
  #error: RefreshError | null = null;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** The last failure, or null where the last refresh succeeded. */
  get error(): RefreshError | null {
    return this.#error;
  }

  /** How many refreshes in a row have failed. */
  get failures(): number {
    return this.#failures;
  }

  /** A refresh succeeded, or the session is over. */
  over(): void {
    this.#failures = 0;
    this.#reported = false;
    this.#error = null;
  }

  /** Counts a failure. `usable` says whether the access token still works. */
  failed(trouble: Trouble, usable: boolean): Consequence {
    const { clock, network, random } = this.#platform;
    const now = clock.mono();
    if (this.#failures === 0) this.#since = now;
    this.#failures += 1;
    const slow = trouble.kind === 'configuration' || trouble.status === 400 || !network.online();
    const delay = Math.max(backoff(this.#failures, random()), trouble.retryAfterMs, slow ? 60_000 : 0);

    const message = `Network error: could not refresh the chat session (attempt ${this.#failures}; will keep retrying): ${trouble.reason}`;
    const code = trouble.kind === 'storage' ? 'storage_failed' : trouble.kind;
    const error = new RefreshError(trouble.kind, code, message, this.#failures, trouble);
    this.#error = error;

    // While the token works, nobody is told: it may be over before anybody would notice. An address that is
    // wrong does not get right by itself, so that is told as soon as it matters.
    const patient = this.#failures >= 5 && now - this.#since >= 30_000;
    const report = !usable && !this.#reported && (patient || trouble.kind === 'configuration');
    if (report) this.#reported = true;
    return { error, delay, report };
  }
}
