/**
 * The storage of one user's pair, shared with other tabs: every change is a compare-and-save under one
 * lock, so that an older pair never replaces a newer one and nothing is saved after a logout.
 */
import { StorageError } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import { isRecord } from '../user.ts';
import { within } from '../within.ts';
import { readClaims } from './jwt.ts';
import { type Clocks, pairFromStored } from './pair.ts';
import type { StoredTokens, TokenStorage } from './storage.ts';
import type { Pair } from './types.ts';

/** No storage may hold a session up for longer than this, in ms. */
const STORAGE_TIMEOUT = 5_000;

/** What came of a save. */
export type Saved =
  | { readonly kind: 'saved'; readonly pair: Pair }
  /** Another tab was there before with a pair that is not older: use it, drop ours. */
  | { readonly kind: 'newer'; readonly pair: Pair }
  /** The user logged out meanwhile. */
  | { readonly kind: 'signedOut' }
  /** It was no longer fresh when its turn came. */
  | { readonly kind: 'late' }
  /** The storage failed; `storageError` was reported. */
  | { readonly kind: 'failed' };

/** What stood in the storage. */
export type Stored = { readonly pair: Pair | null; readonly signedOut: boolean };

export class Vault {
  readonly #storage: TokenStorage;
  readonly #userID: string;
  readonly #platform: Platform;
  readonly #clocks: Clocks;
  readonly #lock: string;
  readonly #onError: (error: StorageError) => void;
  /** Logouts that this manager knew of when it connected. */
  #generation = 0;
  /** Where the platform has no locks, changes at least take turns in here. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(
    storage: TokenStorage,
    userID: string,
    lock: string,
    platform: Platform,
    clocks: Clocks,
    onError: (error: StorageError) => void,
  ) {
    this.#storage = storage;
    this.#userID = userID;
    this.#platform = platform;
    this.#clocks = clocks;
    this.#lock = lock;
    this.#onError = onError;
  }

  /** What stands there now. A storage that fails counts as empty: unknown is not signed out. */
  async read(): Promise<Stored> {
    try {
      return this.#judge(await this.#get());
    } catch (error) {
      this.#fail('it could not be read', error);
      return { pair: null, signedOut: false };
    }
  }

  /**
   * Begins a session with the pair that the app gave, whatever was logged out before. Where the storage has
   * a newer pair of the same session, returns that; of another session the app's word stands.
   */
  async begin(given: Pair): Promise<Pair> {
    return await this.#alone('it could not be opened', given, async (record) => {
      const mine = record?.userID === this.#userID ? record : null;
      this.#generation = mine?.generation ?? 0;
      if (mine?.offset !== undefined) this.#clocks.server.assume(mine.offset);
      const stored = mine === null ? null : pairFromStored(mine, this.#clocks);
      if (stored !== null && stored.sid === given.sid && stored.sid !== null && stored.rank >= given.rank) {
        return stored;
      }
      await this.#set(this.#record(given, record));
      return given;
    });
  }

  /**
   * Saves a pair that the server has just given, unless somebody was faster or it is not `fresh` any more when
   * the lock is ours. From the moment of saving on, no tab asks for the next pair for a while.
   */
  async save(given: Pair, fresh: () => boolean = () => true): Promise<Saved> {
    return await this.#alone<Saved>(
      'a refreshed pair could not be saved',
      { kind: 'failed' },
      async (record) => {
        if (!fresh()) return { kind: 'late' };
        const pair = { ...given, receivedAt: Math.max(given.receivedAt, this.#clocks.device.wall()) };
        // Another user signed in here since, into a storage with room for one: theirs stays.
        if (record !== null && record.userID !== this.#userID) return { kind: 'saved', pair };
        const stored = this.#judge(record);
        if (stored.signedOut) return { kind: 'signedOut' };
        if (stored.pair !== null && stored.pair.rank >= pair.rank) {
          const same = stored.pair.tokens.accessToken === pair.tokens.accessToken;
          return same ? { kind: 'saved', pair } : { kind: 'newer', pair: stored.pair };
        }
        await this.#set(this.#record(pair, record));
        return { kind: 'saved', pair };
      },
    );
  }

  /** Forgets `dead`, which the server refused for good, unless a newer pair has taken its place. */
  async discard(dead: Pair): Promise<void> {
    await this.#alone('a dead pair could not be removed', undefined, async (record) => {
      if (record === null || record.userID !== this.#userID) return;
      const stored = this.#judge(record);
      if (stored.pair !== null && stored.pair.rank <= dead.rank) await this.#set(this.#record(null, record));
    });
  }

  /**
   * Logs out: leaves a tombstone that stops every later save of the tabs that do not know of it yet, and
   * puts the newest refresh token into the outbox of sessions to revoke. Returns the outbox.
   */
  async end(current: Pair | null): Promise<readonly string[]> {
    const token = current?.tokens.refreshToken ?? '';
    const ours = token === '' ? [] : [token];
    return await this.#alone<readonly string[]>('a logout could not be noted', ours, async (record) => {
      const mine = record?.userID === this.#userID ? record : null;
      const stored = mine === null ? null : pairFromStored(mine, this.#clocks);
      const newest = stored !== null && stored.sid === current?.sid ? stored.tokens.refreshToken : token;
      const revoke = [...new Set([...(record?.revoke ?? []), ...(newest === '' ? [] : [newest])])];
      this.#generation = Math.max(this.#generation, mine?.generation ?? 0) + 1;
      // In a storage with room for one, another user's pair is not ours to remove.
      const kept = record !== null && mine === null ? record : this.#record(null, record);
      await this.#set({ ...kept, ...(revoke.length > 0 ? { revoke } : {}) });
      return revoke;
    });
  }

  /** The refresh tokens that wait to be revoked. */
  async outbox(): Promise<readonly string[]> {
    try {
      return (await this.#get())?.revoke ?? [];
    } catch {
      return [];
    }
  }

  /** The server has answered the revocation of `refreshToken`. */
  async revoked(refreshToken: string): Promise<void> {
    await this.#alone('a logout could not be ticked off', undefined, async (record) => {
      if (!record?.revoke?.includes(refreshToken)) return;
      const { revoke, ...rest } = record;
      const left = revoke.filter((token) => token !== refreshToken);
      await this.#set(left.length > 0 ? { ...rest, revoke: left } : rest);
    });
  }

  /** Calls `listener` when another tab changed the storage. Returns what ends it. */
  subscribe(listener: () => void): () => void {
    try {
      return this.#storage.subscribe?.(listener) ?? (() => {});
    } catch (error) {
      this.#fail('it could not be watched', error);
      return () => {};
    }
  }

  #judge(record: StoredTokens | null): Stored {
    if (record === null || record.userID !== this.#userID) return { pair: null, signedOut: false };
    if (record.generation > this.#generation) return { pair: null, signedOut: true };
    return { pair: pairFromStored(record, this.#clocks), signedOut: false };
  }

  #record(pair: Pair | null, before: StoredTokens | null): StoredTokens {
    const revoke = before?.revoke ?? [];
    return {
      v: 1,
      userID: this.#userID,
      generation: this.#generation,
      offset: this.#clocks.server.offset,
      ...(pair === null ? {} : { ...pair.tokens, receivedAt: pair.receivedAt }),
      ...(revoke.length > 0 ? { revoke } : {}),
    };
  }

  /** Runs `change` on what stands there, under the lock. Gives `otherwise` where the storage fails. */
  #alone<T>(what: string, otherwise: T, change: (record: StoredTokens | null) => Promise<T>): Promise<T> {
    const turn = this.#queue.then(() =>
      this.#platform.locks.hold(this.#lock, STORAGE_TIMEOUT, async () => {
        try {
          return await change(await this.#get());
        } catch (error) {
          this.#fail(what, error);
          return otherwise;
        }
      }),
    );
    this.#queue = turn.catch(() => {});
    return turn;
  }

  async #get(): Promise<StoredTokens | null> {
    let value: unknown;
    try {
      value = await within(this.#platform.timers, STORAGE_TIMEOUT, () => this.#storage.get());
    } catch (error) {
      // Corrupt text is as good as none, and the next save repairs it.
      if (error instanceof SyntaxError) return null;
      throw error;
    }
    return parseStored(value);
  }

  async #set(value: StoredTokens): Promise<void> {
    await within(this.#platform.timers, STORAGE_TIMEOUT, () => this.#storage.set(value));
  }

  #fail(what: string, cause: unknown): void {
    this.#onError(new StorageError(what, cause));
  }
}

/** Reads what stands in a storage: our record, or a bare pair that an app wrote there itself. */
function parseStored(value: unknown): StoredTokens | null {
  if (!isRecord(value)) return null;
  const text = (name: string): string | undefined => {
    const found = value[name];
    return typeof found === 'string' ? found : undefined;
  };
  const number = (name: string): number | undefined => {
    const found = value[name];
    return typeof found === 'number' && Number.isFinite(found) ? found : undefined;
  };
  const accessToken = text('accessToken');
  const userID = text('userID') ?? (accessToken === undefined ? undefined : readClaims(accessToken)?.sub);
  if (userID === undefined) return null;
  const revoke = Array.isArray(value.revoke) ? value.revoke.filter((one) => typeof one === 'string') : [];
  const record: StoredTokens = { v: 1, userID, generation: number('generation') ?? 0 };
  const refreshToken = text('refreshToken');
  const expiresAt = number('expiresAt');
  if (accessToken !== undefined && refreshToken !== undefined && expiresAt !== undefined) {
    Object.assign(record, { accessToken, refreshToken, expiresAt });
  }
  const receivedAt = number('receivedAt');
  if (receivedAt !== undefined) record.receivedAt = receivedAt;
  const offset = number('offset');
  if (offset !== undefined) record.offset = offset;
  if (revoke.length > 0) record.revoke = revoke;
  return record;
}
