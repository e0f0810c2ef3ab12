/** Who signed in here last: a page that was just loaded has to know it to log out whom nobody has connected yet. */
import type { Timers } from '../platform/platform.ts';
import { within } from '../within.ts';
import type { StoredTokens, TokenStorage } from './storage.ts';
import { parseStored } from './stored.ts';

/** How long the storage is waited for, in ms. */
const PATIENCE = 5_000;

export class LastUser {
  readonly #storage: TokenStorage;
  readonly #given: boolean;
  readonly #timers: Timers;

  /**
   * @param storage where the name is kept
   * @param given whether that is the app's own storage of the pair: its record names the user already
   */
  constructor(storage: TokenStorage, given: boolean, timers: Timers) {
    this.#storage = storage;
    this.#given = given;
    this.#timers = timers;
  }

  /** Notes that `userID` signed in. */
  async remember(userID: string): Promise<void> {
    if (!this.#given) await this.#put(userID, (await this.#read())?.revoke);
  }

  /** Who signed in last, or null where nobody did or the storage does not say. */
  async recall(): Promise<string | null> {
    return (await this.#read())?.userID || null;
  }

  /** Notes that `userID` logged out. */
  async forget(userID: string): Promise<void> {
    const record = await this.#read();
    if (this.#given || record?.userID !== userID) return;
    if (record.revoke) await this.#put('', record.revoke);
    else await this.#try(() => this.#storage.remove());
  }

  async #read(): Promise<StoredTokens | null> {
    return parseStored(await this.#try(() => this.#storage.get()));
  }

  /** Notes a name. What other users left to be revoked stays. */
  async #put(userID: string, revoke: string[] | undefined): Promise<void> {
    await this.#try(() => this.#storage.set({ v: 1, userID, generation: 0, ...(revoke && { revoke }) }));
  }

  /** A storage that fails is told of where tokens are at stake, not here. */
  async #try(work: () => unknown): Promise<unknown> {
    return await within(this.#timers, PATIENCE, work).catch(() => null);
  }
}
