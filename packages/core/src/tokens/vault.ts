/**
 * The storage of one user's pair, shared with other tabs: every change is a compare-and-save under one
 * lock, so that an older pair never replaces a newer one and nothing is saved after a logout.
 */
import { StorageError } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import { TimeoutError, within } from '../within.ts';
import { type Clocks, pairFromStored } from './pair.ts';
import type { StoredTokens, TokenStorage } from './storage.ts';
import { parseStored } from './stored.ts';
import type { Pair } from './types.ts';

/** No storage may hold a session up for longer than this, in ms. */
const STORAGE_TIMEOUT = 5_000;

/**
 * For how long, in ms awake, a storage that cannot be read counts as one that soon can. After that it is broken, and
 * the session goes on with what is in memory: without it nobody would be signed in at all.
 */
const UNREADABLE_PATIENCE = 60_000;

/**
 * Where the platform has no locks, changes at least take turns in here, also those of a session that ends and of the
 * next one that begins already.
 */
const QUEUES = new WeakMap<Platform, Map<string, Promise<unknown>>>();

/** What came of a save. */
export type Saved =
  | { readonly kind: 'saved'; readonly pair: Pair }
  /** Another tab was there before with a pair that is not older: use it, drop ours. */
  | { readonly kind: 'newer'; readonly pair: Pair }
  /** The user logged out meanwhile. */
  | { readonly kind: 'signedOut' }
  /** It was no longer fresh when its turn came. */
  | { readonly kind: 'late' }
  /** The session was closed meanwhile; nothing was saved. */
  | { readonly kind: 'stopped' }
  /**
   * The storage failed; `storageError` was reported. `safe` says that no older pair of the session can be read
   * there by a later start: only then may ours be used unsaved.
   */
  | { readonly kind: 'failed'; readonly safe: boolean };

/** What stood in the storage. */
export interface Stored {
  readonly pair: Pair | null;
  readonly signedOut: boolean;
  /** It cannot be read now, and a newer pair may stand there: nothing older is to be presented yet. */
  readonly unknown: boolean;
}

/** What a logout left to do. */
export interface Ended {
  /** What waits to be revoked: refresh tokens, or `Bearer` and an access token where there is no other. */
  readonly revoke: readonly string[];
  /** How many logouts there have been, this one included. */
  readonly generation: number;
}

/** When a save is still wanted. */
export interface SaveConditions {
  /** False once the pair is too old to be kept. */
  fresh?(): boolean;
  /** False once the session was closed. */
  live?(): boolean;
}

export class Vault {
  readonly #storage: TokenStorage;
  readonly #userID: string;
  readonly #platform: Platform;
  readonly #clocks: Clocks;
  readonly #lock: string;
  readonly #onError: (error: StorageError) => void;
  /** Logouts that this manager knew of when it connected. */
  #generation = 0;
  /** Whether the storage could ever be read. */
  #opened = false;
  /** Since when it cannot be, by the clock that never jumps; null while it can. */
  #unreadableSince: number | null = null;
  /** Whether the storage held a pair of this user when last seen: it may again, though it fails now. */
  #holds = false;
  #failure: StorageError | null = null;

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

  /** What stands there now. Where it cannot be read, that is not known, which is not signed out. */
  async read(): Promise<Stored> {
    try {
      return { ...this.#judge(await this.#get()), unknown: false };
    } catch (error) {
      this.#fail('it could not be read', error);
      // What browsers block they block for good, and hold nothing of ours there.
      const blocked = error instanceof Error && error.name === 'SecurityError';
      return { pair: null, signedOut: false, unknown: !blocked && this.#mayBeReadYet() };
    }
  }

  /** What the last use failed with; null again once something was kept. */
  get failure(): StorageError | null {
    return this.#failure;
  }

  /** The logouts that this session knows of: a tombstone of a later one ends it. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Begins a session with the pair that the app gave, whatever was logged out before. Where the storage has
   * a newer pair of the same session, returns that; of another session the app's word stands.
   */
  async begin(given: Pair, live: () => boolean = () => true): Promise<Pair> {
    return await this.#alone('it could not be opened', given, async (record) => {
      const mine = this.#mine(record);
      this.#generation = Math.max(this.#generation, mine?.generation ?? 0);
      this.#clocks.server.assume(mine?.offset);
      const stored = mine === null ? null : pairFromStored(mine, this.#clocks);
      if (stored !== null && stored.sid === given.sid && stored.sid !== null && stored.rank >= given.rank) {
        return stored;
      }
      if (live()) await this.#put(given, record);
      return given;
    });
  }

  /**
   * Saves a pair that the server has just given, unless somebody was faster or it is not `fresh` any more when
   * the lock is ours. From the moment of saving on, no tab asks for the next pair for a while.
   */
  async save(given: Pair, { fresh, live }: SaveConditions = {}): Promise<Saved> {
    const unread = (): Saved => ({ kind: 'failed', safe: !this.#holds });
    return await this.#alone<Saved>('a refreshed pair could not be saved', unread, async (record) => {
      if (live?.() === false) return { kind: 'stopped' };
      if (fresh?.() === false) return { kind: 'late' };
      const pair = { ...given, receivedAt: Math.max(given.receivedAt, this.#clocks.device.wall()) };
      // Another user signed in here since, into a storage with room for one: theirs stays.
      if (record !== null && record.userID !== this.#userID) return { kind: 'saved', pair };
      const stored = this.#judge(record);
      if (stored.signedOut) return { kind: 'signedOut' };
      if (stored.pair !== null && stored.pair.rank >= pair.rank) {
        const same = stored.pair.tokens.accessToken === pair.tokens.accessToken;
        return same ? { kind: 'saved', pair } : { kind: 'newer', pair: stored.pair };
      }
      try {
        await this.#put(pair, record);
        return { kind: 'saved', pair };
      } catch (error) {
        this.#fail('a refreshed pair could not be saved', error);
        return { kind: 'failed', safe: await this.#withdraw(record, error) };
      }
    });
  }

  /** Forgets `dead`, which the server refused for good, unless a newer pair has taken its place. */
  async discard(dead: Pair): Promise<void> {
    await this.#alone('a dead pair could not be removed', undefined, async (record) => {
      if (this.#mine(record) === null) return;
      const stored = this.#judge(record);
      if (stored.pair !== null && stored.pair.rank <= dead.rank) await this.#put(null, record);
    });
  }

  /**
   * Logs out: leaves a tombstone that stops every later save of the tabs that do not know of it yet, and
   * puts what ends the session, and the one that is stored, into the outbox.
   */
  async end(current: Pair | null): Promise<Ended> {
    const ended = (pairs: (Pair | null)[], waiting: readonly string[] = []): Ended => {
      // Of one session any token will do.
      const bySession = new Map(pairs.flatMap((pair) => (pair === null ? [] : [[pair.sid, pair] as const])));
      const revoke = [...new Set([...waiting, ...[...bySession.values()].map(credential)])];
      this.#generation += 1;
      return { revoke, generation: this.#generation };
    };
    const unnoted = (): Ended => ended([current]);
    return await this.#alone('a logout could not be noted', unnoted, async (record) => {
      const mine = this.#mine(record);
      this.#generation = Math.max(this.#generation, mine?.generation ?? 0);
      const stored = mine === null ? null : pairFromStored(mine, this.#clocks);
      const result = ended([current, stored], record?.revoke);
      const { revoke } = result;
      // In a storage with room for one, another user's pair is not ours to remove.
      const kept = record !== null && mine === null ? record : this.#record(null, record);
      try {
        await this.#set({ ...kept, ...(revoke.length > 0 ? { revoke: [...revoke] } : {}) });
        this.#holds = false;
      } catch (error) {
        this.#fail('a logout could not be noted', error);
        // Better no tombstone than a pair.
        if (mine !== null) await this.#remove();
      }
      return result;
    });
  }

  /** Takes note of a logout that another tab told of, where the storage is not shared with it. */
  async heed(generation: number): Promise<void> {
    this.#generation = Math.max(this.#generation, generation);
    await this.#alone('a logout could not be noted', undefined, async (record) => {
      const mine = this.#mine(record);
      if (mine !== null && mine.generation < generation) await this.#set(this.#record(null, record));
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

  #mayBeReadYet(): boolean {
    const now = this.#clocks.device.mono();
    this.#unreadableSince ??= now;
    if (now - this.#unreadableSince < UNREADABLE_PATIENCE) return true;
    // Started in the background, before the phone was unlocked: its keychain opens once somebody looks at it.
    return !this.#opened && !this.#platform.lifecycle.visible();
  }

  #judge(record: StoredTokens | null): Omit<Stored, 'unknown'> {
    const mine = this.#mine(record);
    if (mine === null) return { pair: null, signedOut: false };
    if (mine.generation > this.#generation) return { pair: null, signedOut: true };
    return { pair: pairFromStored(mine, this.#clocks), signedOut: false };
  }

  #mine(record: StoredTokens | null): StoredTokens | null {
    return record?.userID === this.#userID ? record : null;
  }

  async #put(pair: Pair | null, before: StoredTokens | null): Promise<void> {
    await this.#set(this.#record(pair, before));
    this.#holds = pair !== null;
  }

  /**
   * A pair could not be saved. Takes the older one out of the storage, so that no later start presents a token
   * that the server has seen overtaken. Returns whether none is there any more.
   */
  async #withdraw(record: StoredTokens | null, error: unknown): Promise<boolean> {
    // A write that hangs may win over a removal, or lose against it: nobody knows what a restart would read.
    if (error instanceof TimeoutError) return !this.#holds;
    if (record?.accessToken === undefined) return true;
    try {
      // A shorter text may fit where the pair did not.
      await this.#put(null, record);
      return true;
    } catch {
      return await this.#remove();
    }
  }

  async #remove(): Promise<boolean> {
    try {
      await within(this.#platform.timers, STORAGE_TIMEOUT, () => this.#storage.remove());
      this.#holds = false;
      return true;
    } catch (error) {
      this.#fail('it could not be cleared', error);
      return false;
    }
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
  #alone<T>(
    what: string,
    otherwise: T | (() => T),
    change: (record: StoredTokens | null) => Promise<T>,
  ): Promise<T> {
    const queues = QUEUES.get(this.#platform) ?? new Map<string, Promise<unknown>>();
    QUEUES.set(this.#platform, queues);
    const turn = Promise.resolve(queues.get(this.#lock)).then(() =>
      this.#platform.locks.hold(this.#lock, STORAGE_TIMEOUT, async () => {
        try {
          return await change(await this.#get());
        } catch (error) {
          this.#fail(what, error);
          return typeof otherwise === 'function' ? (otherwise as () => T)() : otherwise;
        }
      }),
    );
    queues.set(
      this.#lock,
      turn.catch(() => {}),
    );
    return turn;
  }

  async #get(): Promise<StoredTokens | null> {
    let value: unknown = null;
    try {
      value = await within(this.#platform.timers, STORAGE_TIMEOUT, () => this.#storage.get());
    } catch (error) {
      // Corrupt text is as good as none, and the next save repairs it.
      if (!(error instanceof SyntaxError)) throw error;
    }
    const record = parseStored(value);
    this.#opened = true;
    this.#unreadableSince = null;
    this.#holds = this.#mine(record)?.accessToken !== undefined;
    return record;
  }

  async #set(value: StoredTokens): Promise<void> {
    await within(this.#platform.timers, STORAGE_TIMEOUT, () => this.#storage.set(value));
    this.#failure = null;
  }

  #fail(what: string, cause: unknown): void {
    this.#failure = new StorageError(what, cause);
    this.#onError(this.#failure);
  }
}

/** What ends the session of `pair` at the server. */
function credential({ tokens }: Pair): string {
  return tokens.refreshToken === '' ? `Bearer ${tokens.accessToken}` : tokens.refreshToken;
}
