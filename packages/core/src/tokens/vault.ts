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
export const STORAGE_TIMEOUT = 5_000;

/**
 * For how long, in ms awake, a storage that cannot be read counts as one that soon can, and a write that was given up as
 * one that may happen yet. After that it is broken, and a pair that never stood there is presented all the same: without
 * it nobody would be signed in at all.
 */
const PATIENCE = 60_000;

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
  late?: number;
}

/** By what clients share, which is the page, or else the storage; and by lock. */
const LINES = new WeakMap<object, Map<string, Line>>();

/** What came of a save. */
export type Saved =
  /** The pair to use: ours, or one that is not older, of another tab that was there before. */
  | { readonly kind: 'pair'; readonly pair: Pair; readonly stored: true }
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

/** What follows from `error`, after `record` was read, or before. */
type Failed<T> = (error: unknown, record?: StoredTokens | null) => T | Promise<T>;

export type Vault = ReturnType<typeof makeVault>;

/**
 * @param name whose storage it is, and with `:save` the lock that those who share it change it under
 * @param onError told when the storage failed
 * @param own the pair that is in use here
 */
export function makeVault(
  storage: TokenStorage,
  userID: string,
  name: string,
  platform: Platform,
  clocks: Clocks,
  onError: (error: StorageError) => void,
  own?: () => Pair | null,
) {
  const lock = `${name}:save`;
  const place = platform.shared?.() ?? storage;
  const lines = LINES.get(place) ?? new Map<string, Line>();
  LINES.set(place, lines);
  const line: Line = lines.get(lock) ?? { turn: Promise.resolve() };
  lines.set(lock, line);
  /** Logouts that this manager knew of when it connected. */
  let logouts = 0;
  /** Whether the storage could be read since the session began: what is first found there of logouts came before. */
  let opened = false;
  /** Since when it cannot be, by the clock that never jumps; null while it can. */
  let unreadableSince: number | null = null;
  /** Whether the storage held a pair of this user when last seen: it may again, though it fails now. */
  let holds = false;
  /** The rank of the newest pair that stood in a storage, as far as this tab knows. */
  let stood = 0;
  let spare: Pair | null = null;
  let heard = false;
  let failure: StorageError | null = null;
  /** Whether the last new pair counts as lost, because it could not be saved. */
  let wasted = false;

  function judge(record: StoredTokens | null): Omit<Stored, 'unknown'> {
    const generation = ours(record)?.generation ?? 0;
    const pair = ownPair(record);
    // Where the storage was emptied, tabs count differently; none goes on with a session that was logged out.
    if (pair?.sid && pair.sid === own?.()?.sid) knows(generation);
    const signedOut = generation > logouts;
    return { pair: signedOut ? null : pair, signedOut };
  }

  function ownPair(record?: StoredTokens | null): Pair | null {
    const mine = ours(record);
    return mine && pairFromStored(mine, clocks);
  }

  /** There were so many logouts. */
  function knows(generation = 0): void {
    logouts = Math.max(logouts, generation);
  }

  function ours(record?: StoredTokens | null): StoredTokens | null {
    return record?.userID === userID ? record : null;
  }

  async function put(pair: Pair | null, before: StoredTokens | null): Promise<void> {
    await set(recordOf(pair, before)).catch((error: unknown) => {
      // A write that hangs may happen yet.
      if (error instanceof TimeoutError) note(pair?.rank);
      throw error;
    });
    note(pair?.rank);
    holds = pair !== null;
  }

  /**
   * A pair could not be saved. Takes the older one out of the storage, so that no later start presents a token
   * that the server has seen overtaken. Returns whether none is there any more.
   */
  async function withdraw(error: unknown, record?: StoredTokens | null): Promise<boolean> {
    // Other tabs may have the older one, and would go on from it.
    if (stood > 0 && storage.subscribe && !heard) return false;
    // A write that hangs may win over a removal, or lose against it: nobody knows what a restart would read.
    if (record === undefined || isBlocked(error) || error instanceof TimeoutError) return !holds;
    if (!record?.accessToken) return true;
    // A shorter text may fit where the pair did not.
    return put(null, record).then(() => true, remove);
  }

  async function remove(): Promise<boolean> {
    try {
      await write(null);
      holds = false;
    } catch (error) {
      fail('it could not be cleared', error);
    }
    return !holds;
  }

  function recordOf(pair: Pair | null, before: StoredTokens | null): StoredTokens {
    const record: StoredTokens = {
      v: 1,
      userID,
      generation: logouts,
      offset: clocks.server.offset,
      ...(pair === null ? {} : { ...pair.tokens, receivedAt: pair.receivedAt }),
    };
    return waiting(record, before?.revoke);
  }

  /** Runs `change` on what stands there, under the lock; `failed` where the storage fails. */
  function alone<T>(
    what: string,
    failed: Failed<T>,
    change: (record: StoredTokens | null, last?: StoredTokens | null) => Promise<T>,
  ): Promise<T> {
    const turn = line.turn.then(() =>
      platform.locks.hold(lock, STORAGE_TIMEOUT, async () => {
        let record: StoredTokens | null | undefined;
        try {
          const { last } = line;
          record = await get();
          return await change(record, last);
        } catch (error) {
          fail(what, error);
          return await failed(error, record);
        }
      }),
    );
    line.turn = turn.catch(() => {});
    return turn;
  }

  async function get(): Promise<StoredTokens | null> {
    let value: unknown = null;
    try {
      value = await within(platform.timers, STORAGE_TIMEOUT, () => storage.get());
    } catch (error) {
      // Corrupt text is as good as none, and the next save repairs it.
      if (!(error instanceof SyntaxError)) {
        unreadableSince ??= clocks.device.mono();
        throw error;
      }
    }
    const record = parseStored(value);
    // Another tab went on: what it wrote is not to be taken back when a write of ours lands late.
    if (overtakes(record, line.last)) line.last = record;
    if (!opened) knows(ours(record)?.generation);
    opened = true;
    unreadableSince = null;
    const pair = ownPair(record);
    holds = pair !== null;
    if (pair && pair.rank > stood) {
      note(pair.rank);
      // This device's clock may have been set since ours; whoever got it has looked.
      clocks.server.assume(record?.offset);
    }
    return record;
  }

  async function set(value: StoredTokens): Promise<void> {
    await write(value);
    failure = null;
    wasted = false;
  }

  /** Writes, or removes where there is nothing to be written. */
  async function write(value: StoredTokens | null): Promise<void> {
    line.last = value;
    let late: number | undefined;
    await within(platform.timers, STORAGE_TIMEOUT, async () => {
      try {
        await (value === null ? storage.remove() : storage.set(value));
      } finally {
        if (line.late === late) line.late = 0;
      }
      // Given up long ago, and done all the same: over what was written since, a logout perhaps.
      if (!late) return;
      void alone('it could not be saved', nothing, async (record, last = null) => {
        // Of two pairs the newer one stays, whichever was written last: it may be in use already.
        const stays = overtakes(value, last) ? value : last;
        const stands = record?.accessToken === value?.accessToken && record?.generation === value?.generation;
        if (stays === value ? overtakes(value, record) : stands) await write(stays);
      });
    }).catch((error: unknown) => {
      if (error instanceof TimeoutError) line.late = late = clocks.device.mono() + PATIENCE;
      throw error;
    });
  }

  /** Whether `one` holds a newer pair than `other` does of the same session, and knows of as many logouts. */
  function overtakes(one?: StoredTokens | null, other?: StoredTokens | null): boolean {
    const mine = ownPair(one);
    const theirs = ownPair(other);
    if (!mine || !theirs || mine.sid !== theirs.sid || mine.rank <= theirs.rank) return false;
    return (one?.generation ?? 0) >= (other?.generation ?? 0);
  }

  function fail(what: string, cause: unknown): void {
    failure = new StorageError(what, cause);
    if (isBlocked(cause)) holds = false;
    onError(failure);
  }

  /** A pair of `rank` stands in a storage, or another tab has it: either way, others may go on from it. */
  function note(rank = 0): void {
    stood = Math.max(stood, rank);
  }

  return {
    /** What stands there now. Where it cannot be read, that is not known, which is not signed out. */
    async read(): Promise<Stored> {
      try {
        return { ...judge(await get()), unknown: false };
      } catch (error) {
        fail('it could not be read', error);
        return { pair: null, signedOut: false, unknown: !isBlocked(error) };
      }
    },

    /**
     * Whether `pair` is not to be presented while the storage cannot be read. What stood there another tab may have
     * gone on from, and the server would take it for a thief's; what never did waits for as long as the storage may
     * just be locked.
     */
    withholds(pair: Pair): boolean {
      const now = clocks.device.mono();
      if (pair.rank <= stood || now - (unreadableSince ?? now) < PATIENCE) return true;
      // Started in the background, before the phone was unlocked: its keychain opens once somebody looks at it.
      return !opened && !platform.lifecycle.visible();
    },

    /**
     * What stood there when the session began, of another session and got later than what the app gave: an app may
     * bring back the copy of a session that is long over.
     */
    get spare(): Pair | null {
      return spare;
    },

    /** Whether other tabs can be told of a pair that the storage does not have. */
    set heard(open: boolean) {
      heard = open;
    },

    /** What the last use failed with; null again once something was kept. */
    get failure(): StorageError | null {
      return failure;
    },

    /** The logouts that this session knows of: a tombstone of a later one ends it. */
    get generation(): number {
      return logouts;
    },

    /**
     * Begins a session with the pair that the app gave, whatever was logged out before. Where the storage has
     * a newer pair of the same session, returns that; of another session the app's word stands.
     */
    begin(given: Pair, live: () => boolean): Promise<Pair> {
      spare = null;
      return alone(
        'it could not be read',
        (_error, record) => {
          opened = record !== undefined;
          return given;
        },
        async (record) => {
          const mine = ours(record);
          knows(mine?.generation);
          clocks.server.assume(mine?.offset);
          const stored = ownPair(record);
          const newer = stored !== null && stored.rank >= given.rank;
          if (newer && stored.sid && stored.sid === given.sid) return stored;
          spare = newer ? stored : null;
          if (live()) await put(given, record);
          return given;
        },
      );
    },

    /**
     * Saves a pair that the server has just given, unless somebody was faster or it is not `fresh` any more when
     * the lock is ours. From the moment of saving on, no tab asks for the next pair for a while.
     * @param live false once the session was closed
     * @param fresh false once the pair is too old to be kept
     */
    save(given: Pair, live: () => boolean, fresh = live): Promise<Saved> {
      const failed: Failed<Saved> = async (...why) => {
        const safe = await withdraw(...why);
        wasted = !safe;
        return { kind: 'failed', safe };
      };
      return alone('it could not be saved', failed, async (record) => {
        if (!live()) return { kind: 'stopped' };
        if (!fresh()) return { kind: 'late' };
        let pair: Pair = { ...given, receivedAt: Math.max(given.receivedAt, clocks.device.wall()) };
        const { pair: stored, signedOut } = judge(record);
        if (signedOut) return { kind: 'signedOut' };
        if (stored !== null && stored.rank >= pair.rank) {
          if (stored.tokens.accessToken !== pair.tokens.accessToken) pair = stored;
          // Another user may have signed in here since, into a storage with room for one: theirs stays.
        } else if (!record || ours(record)) await put(pair, record);
        return { kind: 'pair', pair, stored: true };
      });
    },

    /** Whether the storage takes a pair, as far as one can try beforehand: none is got only to be lost like the last one. */
    async ready(): Promise<boolean> {
      if (!wasted) return true;
      // The lost one may land yet: what stands there now is not to be written over it.
      if (clocks.device.mono() < (line.late ?? 0)) return !holds;
      return alone(
        'it could not be saved',
        () => !holds,
        async (record) => {
          if (record) await set(record);
          return true;
        },
      );
    },

    /** Forgets `dead`, which the server refused for good, unless a newer pair has taken its place. */
    discard(dead: Pair): Promise<void> {
      return alone('it could not be cleared', nothing, async (record) => {
        const { pair } = judge(record);
        if (pair && pair.rank <= dead.rank) await put(null, record);
      });
    },

    /**
     * Logs out: leaves a tombstone that stops every later save of the tabs that do not know of it yet, and
     * puts what ends the session, and the one that is stored, into the outbox.
     */
    end(current: Pair | null): Promise<Ended> {
      const ended = (stored: Pair | null, before: readonly string[] = []): Ended => {
        // Of one session any token will do.
        const bySession = new Map<string | null, string>();
        for (const pair of [current, stored]) if (pair) bySession.set(pair.sid, credential(pair));
        logouts += 1;
        return { revoke: [...new Set([...before, ...bySession.values()])], generation: logouts };
      };
      let result: Ended | undefined;
      const unnoted: Failed<Ended> = async (_error, record) => {
        // Better no tombstone than a pair.
        if (ours(record)) await remove();
        return result ?? ended(null);
      };
      return alone('a logout could not be noted', unnoted, async (record) => {
        const mine = ours(record);
        knows(mine?.generation);
        result = ended(ownPair(record), record?.revoke);
        // In a storage with room for one, another user's pair is not ours to remove.
        const kept = record && !mine ? record : recordOf(null, record);
        await set(waiting(kept, result.revoke));
        holds = false;
        return result;
      });
    },

    /** Takes note of a logout of another tab, which told of it where the storage is not shared with it. */
    heed(generation = 0): Promise<void> {
      knows(generation);
      return alone('a logout could not be noted', nothing, async (record) => {
        const mine = ours(record);
        if (mine && mine.generation < generation) await set(recordOf(null, record));
        // Nor is a logout to be taken back.
        else line.last = record;
      });
    },

    /** Takes up what somebody else's logout left to be revoked. */
    keep(revoke: readonly string[]): Promise<void> {
      return alone('a logout could not be noted', nothing, async (record) => {
        const kept = record ?? { v: 1, userID: userID, generation: 0 };
        await set(waiting(kept, [...new Set([...(kept.revoke ?? []), ...revoke])]));
      });
    },

    /** The refresh tokens that wait to be revoked. */
    async outbox(): Promise<readonly string[]> {
      const record = await get().catch(() => null);
      return record?.revoke ?? [];
    },

    /** The server has answered the revocation of `refreshToken`. */
    revoked(refreshToken: string): Promise<void> {
      return alone('a logout could not be noted', nothing, async (record) => {
        if (!record?.revoke?.includes(refreshToken)) return;
        const left = record.revoke.filter((token) => token !== refreshToken);
        await set(waiting(record, left));
      });
    },

    /** Calls `listener` when another tab changed the storage. Returns what ends it. */
    subscribe(listener: () => void): () => void {
      try {
        return storage.subscribe?.(listener) ?? (() => {});
      } catch (error) {
        fail('it could not be read', error);
        return () => {};
      }
    },

    note,
  };
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
