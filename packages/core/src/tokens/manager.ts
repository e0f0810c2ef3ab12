/**
 * Keeps one user's access token alive: decides *whose* pair counts and what follows from each outcome. When to
 * refresh is `timetable.ts`, the run of one `refresher.ts` and `attempt.ts`, the reading of answers `request.ts`, failures in a
 * row `outage.ts`, the app's callbacks `host.ts`, the shared storage `vault.ts`.
 *
 * `epoch` grows whenever the session is closed. Everything that waited compares it before it goes on, so
 * that nothing is saved, told or scheduled for a session that is over.
 */

import { makeEmitter } from '../emitter.ts';
import {
  type ChatError,
  DisconnectedError,
  type ErrorDetails,
  InvalidInputError,
  NotConnectedError,
  RefreshError,
  type StorageError,
} from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import type { User } from '../user.ts';
import { guarded } from '../within.ts';
import { type Outcome, outcomeOf } from './attempt.ts';
import { sentenceOf } from './ends.ts';
import type {
  AuthReport,
  EndReason,
  FatalReason,
  LastError,
  TokenEvents,
  TokenManagerOptions,
  TokenState,
} from './events.ts';
import { makeHost } from './host.ts';
import { makeOutage } from './outage.ts';
import { isUsable, lifeLeft, makePair } from './pair.ts';
import { makePeers, type Peers, tellSignedOut } from './peers.ts';
import { makeRefresher } from './refresher.ts';
import { type Trouble, troubled } from './request.ts';
import { makeRevoker } from './revoke.ts';
import { effectiveBuffer, readBuffer } from './schedule.ts';
import { makeServerClock } from './server-clock.ts';
import { memoryStorage } from './storage.ts';
import { makeTimetable } from './timetable.ts';
import type { Pair, Tokens } from './types.ts';
import { makeVault, type Saved } from './vault.ts';
import { makeWaiters } from './waiters.ts';

/** The first pauses before a failed save is tried again, and all later ones, in ms. */
const SAVE_RETRIES = [1_000, 5_000, 30_000];
const LATER_SAVE_RETRY = 300_000;

/** The same as an app's, with nothing left out that has a default. */
export interface ManagerOptions extends TokenManagerOptions {
  /** Never throws. */
  onRefreshError: (error: RefreshError) => void;
  logger: Logger;
  platform: Platform;
  inUse: () => boolean;
}

export type Manager = ReturnType<typeof makeManager>;

/** What keeps an access token alive; see {@link TokenManager}. */
export function makeManager(options: ManagerOptions) {
  const { apiUrl, userID, storage, refreshTokens, onRefreshError, logger, platform } = options;
  const buffer = readBuffer(options.refreshBufferMs);
  const server = `chatsdk:${apiUrl}`;
  const name = `${server}:${userID}`;
  const events = makeEmitter<TokenEvents>(logger);
  // Where the backend keeps the refresh token in a cookie, it wants no token in the reach of scripts.
  const place = storage ?? (refreshTokens ? memoryStorage() : platform.storage(name));
  /** Whether the next start finds what was saved. */
  const durable = !place.volatile;
  const device = platform.clock;
  const clocks = { device, server: makeServerClock(device) };
  const vault = makeVault(place, userID, name, platform, clocks, storageFailed, own);
  const vaults = [vault];
  // Where platforms keep each user's tokens apart: the place in which every user finds what others left to revoke.
  if (!storage && !refreshTokens) {
    vaults.push(makeVault(platform.storage(server), '', server, platform, clocks, () => {}));
  }
  const revoker = makeRevoker(platform, apiUrl, vaults);
  const host = makeHost(options.onTokenRefresh, platform.timers, logger);
  const outage = makeOutage(platform);
  const timetable = makeTimetable(platform, buffer, canRefresh, options.inUse, refresh);
  const refresher = makeRefresher(options, platform, clocks, vault, timetable, `${name}:refresh`);

  const waiters = makeWaiters();
  let epoch = 0;
  let state: TokenState = 'unauthenticated';
  let current: Pair | null = null;
  /** What is being begun with. */
  let starting: { readonly pair: Pair; readonly done: Promise<void> } | null = null;
  let peers: Peers | null = null;
  /** The last pair that another tab told of; in use once the host was told of it too. */
  let heard: Pair | null = null;
  const undos: (() => void)[] = [];
  let flight: Promise<void> | null = null;
  /** What ended the session, once something did. */
  let endedWith: RefreshError | null = null;
  let cancelSave = (): void => {};
  let lastError: LastError | null = null;

  /** Takes up a pair that the host got meanwhile, where it is newer than the one in use. */
  async function offer(given: Tokens): Promise<void> {
    const pair = read(given);
    const live = living();
    // What came of the start is its caller's to hear.
    await starting?.done.catch(() => {});
    if (live() && isNewer(pair)) {
      const newest = await vault.begin(pair, live);
      if (live()) await adopt(newest, true);
    }
  }

  /** Closes the session here, at once. What is stored stays, for the next start. */
  function stop(): void {
    close();
    setState('unauthenticated');
  }

  /** The session, from storage and `given`; then everything that watches over it. */
  async function begin(given: Pair, live: () => boolean): Promise<void> {
    const pair = await vault.begin(given, live);
    if (!live()) return;
    peers = makePeers(platform, name, userID, clocks, () => current, hear, onLogout);
    vault.heard = peers.open;
    // One by one: where a platform throws, what was begun is undone.
    undos.push(
      platform.network.subscribe((online) => {
        // Everybody comes back at the same moment; not everybody has to ask at the same moment.
        if (online) timetable.resume(platform.random() * 3_000);
      }),
    );
    undos.push(
      platform.lifecycle.onResume(() => {
        timetable.resume(0);
        // A page that was frozen has heard nothing: of pairs, nor of a logout.
        void look();
      }),
    );
    undos.push(vault.subscribe(look));
    // Read again, now that the stored estimate of the server's clock is taken up.
    // Where the app relies on the storage, that alone may have the refresh token.
    const better = given.tokens.refreshToken ? given : pair;
    if (pair.tokens.accessToken === given.tokens.accessToken) publish(read(better.tokens, pair.receivedAt));
    else await accept(pair);
    if (!live()) return;
    if (vault.failure) saveLater(current as Pair, 0);
    void revoker.flush();
  }

  /** Another tab changed the storage. */
  async function look(): Promise<void> {
    const live = living();
    const stored = await vault.read();
    if (!live()) return;
    if (stored.signedOut) signedOut();
    else if (stored.pair) await adopt(stored.pair);
  }

  /** Another tab tells of a logout: of this session, or of one that came before a logout this tab knows of. */
  function onLogout(generation = 0, sid?: string): void {
    if (generation > vault.generation || (sid && sid === current?.sid)) signedOut(generation);
  }

  // ---- the refresh ----------------------------------------------------------------------------------------

  /** Refreshes once for all who ask. Settles, and never rejects, when there is a pair, a failure or an end. */
  function refresh(): Promise<void> {
    if (flight !== null) return flight;
    const pair = current;
    if (pair === null || !canRefresh(pair)) {
      // Expired by this device's clock, which may be wrong: the server's refusal is what ends it.
      if (pair !== null && !works(pair)) setState('expired');
      return Promise.resolve();
    }
    const mine = run(pair).finally(() => {
      if (flight !== mine) return;
      flight = null;
      timetable.done();
      // What came of it may be the very token that somebody was refused with while it ran.
      if (waiters.any && !timetable.pausing) void refresh();
    });
    flight = mine;
    return mine;
  }

  async function run(old: Pair): Promise<void> {
    const live = living();
    timetable.begin();
    setState('refreshing');
    try {
      const outcome = await refresher.run(old, {
        peers: peers as Peers,
        live,
        current: () => current,
        newest: () => (heard !== null && isNewer(heard) ? heard : current),
        canRefresh,
      });
      if (live()) await conclude(outcome, old);
    } catch (error) {
      logger.error(`A refresh failed: ${String(error)}`);
      if (live()) await conclude(troubled('protocol', 'unexpected'), old);
    }
    if (live() && state === 'refreshing') setState('valid');
  }

  async function conclude(outcome: Outcome, old: Pair): Promise<void> {
    switch (outcome.kind) {
      case 'stopped':
        return;
      case 'signedOut':
        return signedOut();
      case 'trouble':
        return failed(outcome.trouble, old);
      case 'fatal': {
        end(outcome.code, outcome);
        return vault.discard(outcome.pair);
      }
      case 'pair': {
        const { pair, stored } = outcome;
        await accept(pair, stored && durable);
        if (current !== pair) return;
        peers?.tell(pair);
        if (!stored) saveLater(pair, 0);
      }
    }
  }

  function canRefresh(pair: Pair): boolean {
    return pair.tokens.refreshToken !== '' || refreshTokens !== undefined;
  }

  // ---- pairs ----------------------------------------------------------------------------------------------

  function read(tokens: Tokens, receivedAt?: number): Pair {
    const pair = makePair(userID, tokens, clocks, { receivedAt });
    if (pair === null) throw new InvalidInputError('token', 'The token is not an access token of this user.');
    return pair;
  }

  /**
   * Whether `pair` is newer than the one in use, and no worse: what nothing can replace, such as the pair of a tab
   * whose backend keeps the refresh token, does not take the place of what this tab can refresh.
   */
  function isNewer(pair: Pair): boolean {
    if (current === null || pair.rank <= current.rank) return false;
    return canRefresh(pair) || !canRefresh(current);
  }

  /** Another tab told of a pair. Its storage need not be this one's, so that it is saved before it is used. */
  async function hear(pair: Pair): Promise<void> {
    heard = pair;
    if (!isNewer(pair)) return;
    const live = living();
    vault.note(pair.rank);
    const outcome = outcomeOf(await vault.save(pair, live), pair);
    if (!live()) return;
    await heed(outcome);
  }

  /** Takes up what another tab was found to have done when this one saved a pair. */
  async function heed(found: Outcome | Saved): Promise<void> {
    if (found.kind === 'signedOut') signedOut();
    if (found.kind === 'pair') await adopt(found.pair);
  }

  /** Takes up a pair that is saved, where it is newer. */
  async function adopt(pair: Pair, kept?: boolean): Promise<void> {
    if (isNewer(pair)) await accept(pair, kept);
  }

  /**
   * Tells the host of `pair`, and then uses it. It is saved already.
   * @param kept whether the next start finds it, though the host may not have taken note of it
   */
  async function accept(pair: Pair, kept = durable): Promise<void> {
    const live = living();
    const failure = await host.tell(pair, live);
    if (!live()) return;
    if (failure) {
      storageFailed(failure);
      const old = current;
      // As with one that could not be saved: once it was used, the older one of the app would be a thief's.
      const risky = !kept && old !== null && pair.tokens.refreshToken !== '';
      if (risky && host.again(lifeLeft(old, device))) {
        return conclude(troubled('storage', 'onTokenRefresh failed'), old);
      }
    }
    if (current === null || pair.rank > current.rank) publish(pair);
  }

  /** Uses `pair` from now on. */
  function publish(pair: Pair): void {
    current = pair;
    outage.over();
    refresher.wake();
    const usable = works(pair);
    setState(usable ? 'valid' : 'expired');
    if (usable) waiters.resolve(pair.tokens.accessToken);
    events.emit('tokens', { user: pair.user, sid: pair.sid });
    // Whoever heard of it may have left.
    if (current === pair) timetable.follow(pair);
  }

  /** Tries again to save a pair that is in use though the storage failed. */
  function saveLater(pair: Pair, nth: number): void {
    const delay = SAVE_RETRIES[nth] ?? LATER_SAVE_RETRY;
    const same = living();
    const live = (): boolean => same() && current === pair;
    cancelSave();
    cancelSave = platform.timers.after(delay, async () => {
      if (!live()) return;
      const saved = await vault.save(pair, live);
      if (!live()) return;
      if (saved.kind === 'failed') saveLater(pair, nth + 1);
      else await heed(saved);
    });
  }

  // ---- failures and ends ----------------------------------------------------------------------------------

  /** A refresh of `old` came to nothing. The session is kept, and the next try is set. */
  function failed(trouble: Trouble, old: Pair): void {
    const pair = current;
    if (!pair) return;
    const usable = works(pair);
    // One that was adopted meanwhile needs no second try: it is not due.
    if (usable && pair !== old) return;
    const { error, delay, report } = outage.failed(trouble, usable);
    setState(usable ? 'stale' : 'expired');
    timetable.retryIn(delay, trouble.retryAfterMs);
    logger.warn(error.message);
    note(error);
    if (report) onRefreshError(error);
  }

  function end(reason: FatalReason, details?: ErrorDetails): RefreshError {
    const attempt = outage.failures + 1;
    const error = new RefreshError('fatal', reason, sentenceOf(reason), attempt, details);
    note(error);
    // In this order: the app may sign the user in anew out of its callback.
    finish(reason, error);
    onRefreshError(error);
    return error;
  }

  function signedOut(generation?: number): void {
    void vault.heed(generation);
    // A logout may come while a start still tells the host of its pair.
    if (current === null && starting === null) return;
    finish('logged_out', null);
  }

  function finish(reason: EndReason, error: RefreshError | null): void {
    close(error);
    endedWith = error;
    setState('ended');
    events.emit('ended', { reason, error });
  }

  /** Lets go of everything. Synchronous, so that nothing of a closed session happens afterwards. */
  function close(reason?: Error | null): void {
    epoch += 1;
    current = null;
    heard = null;
    flight = null;
    endedWith = null;
    outage.over();
    host.forget();
    timetable.stop();
    cancelSave();
    starting = null;
    refresher.stop();
    // What an app's storage gave to undo with may be anything.
    for (const undo of undos.splice(0)) guarded(undo);
    peers?.close();
    peers = null;
    waiters.reject(reason ?? new DisconnectedError());
  }

  /** The token of a pair that nothing can replace. The server's refusal ends the session, no clock does. */
  function only(pair: Pair, refused?: string | null): string {
    const { accessToken } = pair.tokens;
    if (accessToken !== refused) return accessToken;
    throw end('refresh_token_missing');
  }

  function storageFailed(error: StorageError): void {
    note(error);
    events.emit('storageError', error);
  }

  function note({ code, message, status, requestId }: ChatError): void {
    lastError = { code, message, status, requestId, at: device.wall() };
  }

  /** What says whether the session that stands now still does. */
  function living(): () => boolean {
    const then = epoch;
    return () => then === epoch;
  }

  function works(pair: Pair): boolean {
    return isUsable(pair, device);
  }

  /** What is in use, or is being begun with. */
  function own(): Pair | null {
    return current ?? starting?.pair ?? null;
  }

  function need(): Pair {
    if (current !== null) return current;
    throw endedWith ?? new NotConnectedError();
  }

  function setState(next: TokenState): void {
    if (state === next) return;
    state = next;
    events.emit('state', state);
  }

  return {
    /** Where the token stands. */
    get state(): TokenState {
      return state;
    },

    /** The pair in use, or null before the start, after the stop and after the end. */
    get tokens(): Tokens | null {
      return current && { ...current.tokens };
    },

    /** Whom the token speaks for, or null. */
    get user(): User | null {
      return current?.user ?? null;
    },

    /** Calls `listener` at each `event`. Returns what ends it. */
    on: events.on,

    /**
     * Begins with the pair that the host gave, or with a newer one of the same session that is in storage.
     * Does not wait for a refresh. Rejects with {@link InvalidInputError} where the token is not one of the
     * user's. Once begun, takes the pair up where it is newer.
     */
    async start(given: Tokens): Promise<void> {
      if (current !== null || starting !== null) return offer(given);
      const pair = read(given);
      close();
      // Before anybody is told: who hears of it may start anew.
      const live = living();
      setState('unauthenticated');
      const done = begin(pair, live);
      starting = { pair, done };
      try {
        await done;
      } catch (error) {
        if (live()) close();
        throw error;
      } finally {
        if (live()) starting = null;
      }
    },

    offer,

    /**
     * A token that works now. Resolves at once while the one in use lives, and refreshes behind where its end
     * is near; waits for a refresh where it has ended.
     * @param minTtl how long the token should live, in ms
     * @param refused the token that the server refused: another one is got, unless it was got meanwhile
     */
    async getToken({
      minTtl = 30_000,
      refused,
    }: {
      minTtl?: number;
      refused?: string;
    } = {}): Promise<string> {
      const pair = need();
      const { accessToken } = pair.tokens;
      if (!canRefresh(pair)) return only(pair, refused);
      const left = lifeLeft(pair, device);
      if (left > 0 && accessToken !== refused) {
        const margin = Math.min(minTtl, effectiveBuffer(pair.ttl, buffer));
        if (left <= margin && !timetable.pausing) void refresh();
        return accessToken;
      }
      // Within the pause after a failure nobody gets further than the failure did.
      if (timetable.pausing && outage.error) throw outage.error;
      await refresh();
      const now = need();
      const usable = works(now) && now.tokens.accessToken !== refused;
      if (usable) return now.tokens.accessToken;
      throw outage.error ?? new DisconnectedError();
    },

    /**
     * A token that works now and is not `refused`, however long that takes. Rejects when the session ends or
     * is closed.
     * @param ending it was not refused, but is about to end: it will do where nothing can replace it
     */
    async tokenOtherThan(refused: string | null, ending = false): Promise<string> {
      const pair = need();
      const { accessToken } = pair.tokens;
      if (!canRefresh(pair)) return only(pair, ending ? null : refused);
      if (accessToken !== refused && works(pair)) return accessToken;
      const token = waiters.wait(refused);
      if (!timetable.pausing) void refresh();
      return token;
    },

    stop,

    /**
     * Ends the session for every tab of this browser, at once here, and has the server revoke it: resolves when
     * it was asked, and goes on asking where it did not answer. Works without a start too, for the session that is
     * stored.
     */
    async logout(): Promise<void> {
      const pair = own();
      stop();
      const { revoke, generation } = await vault.end(pair);
      // After the tombstone: who hears of it may sign in anew at once, and has to find it.
      tellSignedOut(platform, name, { generation, sid: pair?.sid });
      await revoker.revoke(revoke);
    },

    /** How it stands, for people who look for a fault. Holds nothing secret. */
    debug(): AuthReport {
      const pair = current;
      return {
        userID,
        sid: pair?.sid ?? null,
        state,
        expiresAt: pair?.tokens.expiresAt ?? null,
        expiresInMs: pair && Math.round(lifeLeft(pair, device)),
        refreshInMs: pair && canRefresh(pair) ? Math.round(timetable.next(pair)) : null,
        refreshing: flight !== null,
        failures: outage.failures,
        refreshToken: refreshTokens ? 'backend' : pair?.tokens.refreshToken ? 'here' : 'none',
        storage: {
          kind: storage ? 'given' : refreshTokens ? 'memory' : 'platform',
          error: vault.failure?.message ?? null,
        },
        serverClockAheadMs: Math.round(clocks.server.offset),
        online: platform.network.online(),
        visible: platform.lifecycle.visible(),
        lastError,
      };
    },
  };
}
