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
 * a pair that never stood there is presented all the same: without it nobody would be signed in at all.
 */
const UNREADABLE_PATIENCE = 60_000;

/**
 * Changes take turns in here, in the order in which the app asked for them: also those of a session that ends and of the
 * next one that begins already, with another client of the page. Locks keep no order between clients.
 */
interface Line {
  /** The last turn that was asked for. */
  turn: Promise<unknown>;
  /** What was written last, or null where it was removed. */
  last?: StoredTokens | null;
  /** Until when, by the clock that never jumps, a write that was given up counts as one that may happen yet. */
  late?: number | undefined;
}

/** For how long, in ms awake, a write that was given up is waited for before another one is tried. */
const LATE_PATIENCE = 60_000;

/** By what clients share, which is the page, or else the storage; and by lock. */
const LINES = new WeakMap<object, Map<string, Line>>();

/** What came of a save. */
export type Saved =
  /** The pair to use: ours, or one that is not older, of another tab that was there before. */
  | { readonly kind: 'saved'; readonly pair: Pair }
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
  /** It cannot be read now, and a newer pair may stand there: see {@link Vault.withholds}. */
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
  live(): boolean;
}

/** What follows from `error`, after `record` was read, or before. */
type Failed<T> = (error: unknown, record?: StoredTokens | null) => T | Promise<T>;

export class Vault {
  readonly #storage: TokenStorage;
  readonly #userID: string;
  readonly #platform: Platform;
  readonly #clocks: Clocks;
  readonly #lock: string;
  readonly #line: Line;
  readonly #onError: (error: StorageError) => void;
  /** Logouts that this manager knew of when it connected. */
  #generation = 0;
  /** Whether the storage could ever be read. */
  #opened = false;
  /** Since when it cannot be, by the clock that never jumps; null while it can. */
  #unreadableSince: number | null = null;
  /** Whether the storage held a pair of this user when last seen: it may again, though it fails now. */
  #holds = false;
  /** The rank of the newest pair that stood in a storage, as far as this tab knows. */
  #stood = 0;
  /**
   * What stood there when the session began, of another session and got later than what the app gave: an app may bring
   * back the copy of a session that is long over.
   */
  spare: Pair | null = null;
  /** Whether other tabs can be told of a pair that the storage does not have. */
  heard = false;
  #failure: StorageError | null = null;
  /** Whether the last new pair counts as lost, because it could not be saved. */
  #wasted = false;

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
    const place = platform.shared?.() ?? storage;
    const lines = LINES.get(place) ?? new Map<string, Line>();
    LINES.set(place, lines);
    this.#line = lines.get(lock) ?? { turn: Promise.resolve() };
    lines.set(lock, this.#line);
    this.#onError = onError;
  }

  /** What stands there now. Where it cannot be read, that is not known, which is not signed out. */
  async read(): Promise<Stored> {
    try {
      return { ...this.#judge(await this.#get()), unknown: false };
    } catch (error) {
      this.#fail('it could not be read', error);
      return { pair: null, signedOut: false, unknown: !isBlocked(error) };
    }
  }

  /**
   * Whether `pair` is not to be presented while the storage cannot be read. What stood there another tab may have
   * gone on from, and the server would take it for a thief's; what never did waits for as long as the storage may
   * just be locked.
   */
  withholds(pair: Pair): boolean {
    const now = this.#clocks.device.mono();
    if (pair.rank <= this.#stood || now - (this.#unreadableSince ?? now) < UNREADABLE_PATIENCE) return true;
    // Started in the background, before the phone was unlocked: its keychain opens once somebody looks at it.
    return !this.#opened && !this.#platform.lifecycle.visible();
  }

  /** Whether what it keeps outlives the process. */
  get durable(): boolean {
    return !this.#storage.volatile;
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
    this.spare = null;
    return await this.#alone(
      'it could not be opened',
      () => given,
      async (record) => {
        const mine = this.#mine(record);
        this.#knows(mine?.generation);
        this.#clocks.server.assume(mine?.offset);
        const stored = this.#pair(record);
        const newer = stored !== null && stored.rank >= given.rank;
        if (newer && stored.sid === given.sid && stored.sid !== null) return stored;
        this.spare = newer ? stored : null;
        if (live()) await this.#put(given, record);
        return given;
      },
    );
  }

  /**
   * Saves a pair that the server has just given, unless somebody was faster or it is not `fresh` any more when
   * the lock is ours. From the moment of saving on, no tab asks for the next pair for a while.
   */
  async save(given: Pair, { live, fresh = live }: SaveConditions): Promise<Saved> {
    const failed: Failed<Saved> = async (...why) => {
      const safe = await this.#withdraw(...why);
      this.#wasted = !safe;
      return { kind: 'failed', safe };
    };
    return await this.#alone('it could not be saved', failed, async (record) => {
      if (!live()) return { kind: 'stopped' };
      if (!fresh()) return { kind: 'late' };
      const pair = { ...given, receivedAt: Math.max(given.receivedAt, this.#clocks.device.wall()) };
      // Another user signed in here since, into a storage with room for one: theirs stays.
      if (record !== null && record.userID !== this.#userID) return { kind: 'saved', pair };
      const { pair: stored, signedOut } = this.#judge(record);
      if (signedOut) return { kind: 'signedOut' };
      if (stored !== null && stored.rank >= pair.rank) {
        const same = stored.tokens.accessToken === pair.tokens.accessToken;
        return { kind: 'saved', pair: same ? pair : stored };
      }
      await this.#put(pair, record);
      return { kind: 'saved', pair };
    });
  }

  /** Whether the storage takes a pair, as far as one can try beforehand: none is got only to be lost like the last one. */
  async ready(): Promise<boolean> {
    if (!this.#wasted) return true;
    // The lost one may land yet: what stands there now is not to be written over it.
    if (this.#clocks.device.mono() < (this.#line.late ?? 0)) return !this.#holds;
    return await this.#alone(
      'it could not be saved',
      () => !this.#holds,
      async (record) => {
        if (record) await this.#set(record);
        return true;
      },
    );
  }

  /** Forgets `dead`, which the server refused for good, unless a newer pair has taken its place. */
  async discard(dead: Pair): Promise<void> {
    await this.#alone('it could not be cleared', nothing, async (record) => {
      const { pair } = this.#judge(record);
      if (pair !== null && pair.rank <= dead.rank) await this.#put(null, record);
    });
  }

  /**
   * Logs out: leaves a tombstone that stops every later save of the tabs that do not know of it yet, and
   * puts what ends the session, and the one that is stored, into the outbox.
   */
  async end(current: Pair | null): Promise<Ended> {
    const ended = (stored: Pair | null, before: readonly string[] = []): Ended => {
      // Of one session any token will do.
      const bySession = new Map<string | null, string>();
      for (const pair of [current, stored]) if (pair) bySession.set(pair.sid, credential(pair));
      this.#generation += 1;
      return { revoke: [...new Set([...before, ...bySession.values()])], generation: this.#generation };
    };
    let result: Ended | undefined;
    const unnoted: Failed<Ended> = async (_error, record) => {
      // Better no tombstone than a pair.
      if (record && this.#mine(record)) await this.#remove();
      return result ?? ended(null);
    };
    return await this.#alone('a logout could not be noted', unnoted, async (record) => {
      const mine = this.#mine(record);
      this.#knows(mine?.generation);
      result = ended(this.#pair(record), record?.revoke);
      // In a storage with room for one, another user's pair is not ours to remove.
      const kept = record !== null && mine === null ? record : this.#record(null, record);
      await this.#set(waiting(kept, result.revoke));
      this.#holds = false;
      return result;
    });
  }

  /** Takes note of a logout that another tab told of, where the storage is not shared with it. */
  async heed(generation: number): Promise<void> {
    this.#knows(generation);
    await this.#alone('a logout could not be noted', nothing, async (record) => {
      const mine = this.#mine(record);
      if (mine !== null && mine.generation < generation) await this.#set(this.#record(null, record));
    });
  }

  /** Takes up what somebody else's logout left to be revoked. */
  async keep(revoke: readonly string[]): Promise<void> {
    await this.#alone('a logout could not be noted', nothing, async (record) => {
      const kept = record ?? { v: 1, userID: this.#userID, generation: 0 };
      await this.#set(waiting(kept, [...new Set([...(kept.revoke ?? []), ...revoke])]));
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
    await this.#alone('a logout could not be noted', nothing, async (record) => {
      if (!record?.revoke?.includes(refreshToken)) return;
      const left = record.revoke.filter((token) => token !== refreshToken);
      await this.#set(waiting(record, left));
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

  #judge(record: StoredTokens | null): Omit<Stored, 'unknown'> {
    const signedOut = (this.#mine(record)?.generation ?? 0) > this.#generation;
    return { pair: signedOut ? null : this.#pair(record), signedOut };
  }

  #pair(record: StoredTokens | null): Pair | null {
    const mine = this.#mine(record);
    return mine && pairFromStored(mine, this.#clocks);
  }

  /** There were so many logouts. */
  #knows(generation = 0): void {
    this.#generation = Math.max(this.#generation, generation);
  }

  #mine(record: StoredTokens | null): StoredTokens | null {
    return record?.userID === this.#userID ? record : null;
  }

  async #put(pair: Pair | null, before: StoredTokens | null): Promise<void> {
    let rank = pair?.rank ?? 0;
    try {
      await this.#set(this.#record(pair, before));
      this.#holds = pair !== null;
    } catch (error) {
      // A write that hangs may happen yet.
      if (!(error instanceof TimeoutError)) rank = 0;
      throw error;
    } finally {
      this.note(rank);
    }
  }

  /** A pair of `rank` stands in a storage, or another tab has it: either way, others may go on from it. */
  note(rank: number): void {
    this.#stood = Math.max(this.#stood, rank);
  }

  /**
   * A pair could not be saved. Takes the older one out of the storage, so that no later start presents a token
   * that the server has seen overtaken. Returns whether none is there any more.
   */
  async #withdraw(error: unknown, record?: StoredTokens | null): Promise<boolean> {
    // Other tabs may have the older one, and would go on from it.
    if (this.#stood > 0 && this.#storage.subscribe && !this.heard) return false;
    // A write that hangs may win over a removal, or lose against it: nobody knows what a restart would read.
    if (record === undefined || isBlocked(error) || error instanceof TimeoutError) return !this.#holds;
    if (!record?.accessToken) return true;
    // A shorter text may fit where the pair did not.
    return await this.#put(null, record).then(
      () => true,
      () => this.#remove(),
    );
  }

  async #remove(): Promise<boolean> {
    try {
      await this.#write(null);
      this.#holds = false;
    } catch (error) {
      this.#fail('it could not be cleared', error);
    }
    return !this.#holds;
  }

  #record(pair: Pair | null, before: StoredTokens | null): StoredTokens {
    const record: StoredTokens = {
      v: 1,
      userID: this.#userID,
      generation: this.#generation,
      offset: this.#clocks.server.offset,
      ...(pair === null ? {} : { ...pair.tokens, receivedAt: pair.receivedAt }),
    };
    return waiting(record, before?.revoke);
  }

  /** Runs `change` on what stands there, under the lock; `failed` where the storage fails. */
  #alone<T>(
    what: string,
    failed: Failed<T>,
    change: (record: StoredTokens | null) => Promise<T>,
  ): Promise<T> {
    const turn = this.#line.turn.then(() =>
      this.#platform.locks.hold(this.#lock, STORAGE_TIMEOUT, async () => {
        let record: StoredTokens | null | undefined;
        try {
          record = await this.#get();
          return await change(record);
        } catch (error) {
          this.#fail(what, error);
          return await failed(error, record);
        }
      }),
    );
    this.#line.turn = turn.catch(() => {});
    return turn;
  }

  async #get(): Promise<StoredTokens | null> {
    let value: unknown = null;
    try {
      value = await within(this.#platform.timers, STORAGE_TIMEOUT, () => this.#storage.get());
    } catch (error) {
      // Corrupt text is as good as none, and the next save repairs it.
      if (!(error instanceof SyntaxError)) {
        this.#unreadableSince ??= this.#clocks.device.mono();
        throw error;
      }
    }
    const record = parseStored(value);
    this.#opened = true;
    this.#unreadableSince = null;
    const pair = this.#pair(record);
    this.#holds = pair !== null;
    if (pair !== null && pair.rank > this.#stood) {
      this.note(pair.rank);
      // This device's clock may have been set since ours; whoever got it has looked.
      this.#clocks.server.assume(record?.offset);
    }
    return record;
  }

  async #set(value: StoredTokens): Promise<void> {
    await this.#write(value);
    this.#failure = null;
    this.#wasted = false;
  }

  /** Writes, or removes where there is nothing to be written. */
  async #write(value: StoredTokens | null): Promise<void> {
    const line = this.#line;
    line.last = value;
    let late: number | undefined;
    await within(this.#platform.timers, STORAGE_TIMEOUT, async () => {
      try {
        await (value === null ? this.#storage.remove() : this.#storage.set(value));
      } finally {
        if (late !== undefined && line.late === late) line.late = undefined;
      }
      if (late === undefined) return;
      // Given up long ago, and done all the same: over what was written since, a logout perhaps.
      void this.#alone('it could not be saved', nothing, async (record) => {
        const { last = null } = line;
        // Of two pairs the newer one stays, whichever was written last: it may be in use already.
        const stays = this.#overtakes(value, last) ? value : last;
        const stands = record?.accessToken === value?.accessToken && record?.generation === value?.generation;
        if (stays === value ? this.#overtakes(value, record) : stands) await this.#write(stays);
        else line.last = stays;
      });
    }).catch((error: unknown) => {
      if (error instanceof TimeoutError) line.late = late = this.#clocks.device.mono() + LATE_PATIENCE;
      throw error;
    });
  }

  /** Whether `one` holds a newer pair than `other` does of the same session, and knows of as many logouts. */
  #overtakes(one: StoredTokens | null, other: StoredTokens | null): boolean {
    const [mine, theirs] = [this.#pair(one), this.#pair(other)];
    if (mine === null || theirs === null || mine.sid !== theirs.sid) return false;
    return mine.rank > theirs.rank && (one?.generation ?? 0) >= (other?.generation ?? 0);
  }

  #fail(what: string, cause: unknown): void {
    this.#failure = new StorageError(what, cause);
    if (isBlocked(cause)) this.#holds = false;
    this.#onError(this.#failure);
  }
}

const nothing = (): void => {};

/** What browsers block they block for good: no later start reads what may still be there. */
function isBlocked(error: unknown): boolean {
  return error instanceof Error && error.name === 'SecurityError';
}

/** `record` with what waits to be revoked. */
function waiting({ revoke: _before, ...rest }: StoredTokens, revoke: readonly string[] = []): StoredTokens {
  return revoke.length > 0 ? { ...rest, revoke: [...revoke] } : rest;
}

/** What ends the session of `pair` at the server. */
function credential({ tokens }: Pair): string {
  return tokens.refreshToken === '' ? `Bearer ${tokens.accessToken}` : tokens.refreshToken;
}
