/**
 * Keeps one user's access token alive: decides *whose* pair counts and what follows from each outcome. When to
 * refresh is `timetable.ts`, the run of one `refresher.ts` and `attempt.ts`, the reading of answers `request.ts`, failures in a
 * row `outage.ts`, the app's callbacks `host.ts`, the shared storage `vault.ts`.
 *
 * `#epoch` grows whenever the session is closed. Everything that waited compares it before it goes on, so
 * that nothing is saved, told or scheduled for a session that is over.
 */

import { type Emitter, emitter } from '../emitter.ts';
import {
  type ChatError,
  DisconnectedError,
  type ErrorDetails,
  InvalidInputError,
  NotConnectedError,
  type RefreshError,
  type StorageError,
} from '../errors.ts';
import { type Logger, redacting } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import { webPlatform } from '../platform/web.ts';
import type { User } from '../user.ts';
import { guarded } from '../within.ts';
import { type Outcome, outcomeOf } from './attempt.ts';
import { endedBy } from './ends.ts';
import type {
  AuthReport,
  FatalReason,
  LastError,
  TokenEvents,
  TokenManagerOptions,
  TokenState,
} from './events.ts';
import { type Host, host } from './host.ts';
import { outage } from './outage.ts';
import { type Clocks, isUsable, lifeLeft, makePair } from './pair.ts';
import { type Logout, type Peers, peers, tellSignedOut } from './peers.ts';
import { type Refresher, refresher } from './refresher.ts';
import { type Trouble, troubled } from './request.ts';
import { type Revoker, revoker } from './revoke.ts';
import { effectiveBuffer, readBuffer } from './schedule.ts';
import { serverClock } from './server-clock.ts';
import { memoryStorage, type TokenStorage } from './storage.ts';
import { type Timetable, timetable } from './timetable.ts';
import type { Pair, Tokens } from './types.ts';
import { type Vault, vault } from './vault.ts';
import { waitingCallers } from './waiters.ts';

/** Pauses before a failed save is tried again, in ms; the last one repeats. */
const SAVE_RETRIES = [1_000, 5_000, 30_000, 300_000];

/** Keeps an access token alive from {@link TokenManager.start} to {@link TokenManager.stop}. */
export class TokenManager {
  readonly #options: TokenManagerOptions;
  readonly #platform: Platform;
  readonly #logger: Logger;
  readonly #buffer: number;
  readonly #name: string;
  readonly #clocks: Clocks;
  readonly #vault: Vault;
  readonly #revoker: Revoker;
  readonly #host: Host;
  readonly #timetable: Timetable;
  readonly #refresher: Refresher;
  readonly #outage: ReturnType<typeof outage>;
  readonly #waiters = waitingCallers();
  readonly #events: Emitter<TokenEvents>;

  #epoch = 0;
  #state: TokenState = 'unauthenticated';
  #pair: Pair | null = null;
  /** What is being begun with. */
  #starting: { readonly pair: Pair; readonly done: Promise<void> } | null = null;
  #peers: Peers | null = null;
  /** The last pair that another tab told of; in use once the host was told of it too. */
  #heard: Pair | null = null;
  #undo: (() => void)[] = [];
  #flight: Promise<void> | null = null;
  /** What ended the session, once something did. */
  #endedBy: RefreshError | null = null;
  #cancelSave = (): void => {};
  #lastError: LastError | null = null;

  constructor(options: TokenManagerOptions) {
    this.#options = options;
    this.#platform = options.platform ?? webPlatform();
    this.#logger = redacting(options.logger);
    this.#buffer = readBuffer(options.refreshBufferMs);
    this.#name = `chatsdk:${options.apiUrl}:${options.userID}`;
    this.#events = emitter(this.#logger);
    const device = this.#platform.clock;
    this.#clocks = { device, server: serverClock(device) };
    this.#vault = vault(
      options.storage ?? this.#ownStorage(),
      options.userID,
      `${this.#name}:save`,
      this.#platform,
      this.#clocks,
      (error) => this.#storageFailed(error),
    );
    this.#revoker = revoker(this.#platform, options.apiUrl, [this.#vault, ...this.#common()]);
    this.#host = host(options, this.#platform.timers, this.#logger);
    this.#outage = outage(this.#platform);
    this.#timetable = timetable(
      this.#platform,
      this.#buffer,
      (pair) => this.#canRefresh(pair),
      () => options.inUse?.() ?? true,
      () => void this.#refresh(),
    );
    this.#refresher = refresher(
      options,
      this.#platform,
      this.#clocks,
      this.#vault,
      this.#timetable,
      `${this.#name}:refresh`,
    );
  }

  /** Where the token stands. */
  get state(): TokenState {
    return this.#state;
  }

  /** The pair in use, or null before the start, after the stop and after the end. */
  get tokens(): Tokens | null {
    return this.#pair === null ? null : { ...this.#pair.tokens };
  }

  /** Whom the token speaks for, or null. */
  get user(): User | null {
    return this.#pair?.user ?? null;
  }

  /** Calls `listener` at each `event`. Returns what ends it. */
  on<E extends keyof TokenEvents>(event: E, listener: (payload: TokenEvents[E]) => void): () => void {
    return this.#events.on(event, listener);
  }

  /**
   * Begins with the pair that the host gave, or with a newer one of the same session that is in storage.
   * Does not wait for a refresh. Rejects with {@link InvalidInputError} where the token is not one of the
   * user's. Once begun, takes the pair up where it is newer.
   */
  async start(given: Tokens): Promise<void> {
    if (this.#pair !== null || this.#starting !== null) return await this.offer(given);
    const pair = this.#read(given);
    this.#close(new DisconnectedError());
    const epoch = this.#epoch;
    this.#setState('unauthenticated');
    const done = this.#begin(pair, epoch);
    const starting = { pair, done };
    this.#starting = starting;
    try {
      await done;
    } catch (error) {
      if (epoch === this.#epoch) this.#close(new DisconnectedError());
      throw error;
    } finally {
      if (this.#starting === starting) this.#starting = null;
    }
  }

  /** Takes up a pair that the host got meanwhile, where it is newer than the one in use. */
  async offer(given: Tokens): Promise<void> {
    const pair = this.#read(given);
    const epoch = this.#epoch;
    // What came of the start is its caller's to hear.
    await this.#starting?.done.catch(() => {});
    if (epoch !== this.#epoch || !this.#isNewer(pair)) return;
    const newest = await this.#vault.begin(pair, () => epoch === this.#epoch);
    if (epoch === this.#epoch) await this.#adopt(newest, true);
  }

  /**
   * A token that works now. Resolves at once while the one in use lives, and refreshes behind where its end
   * is near; waits for a refresh where it has ended.
   * @param options.minTtl how long the token should live, in ms; default 30 s
   * @param options.refused the token that the server refused: another one is got, unless it was got meanwhile
   */
  async getToken(options: { minTtl?: number; refused?: string } = {}): Promise<string> {
    const pair = this.#need();
    const { accessToken } = pair.tokens;
    if (!this.#canRefresh(pair)) return this.#only(pair, options.refused ?? null);
    const left = lifeLeft(pair, this.#clocks.device);
    if (left > 0 && accessToken !== options.refused) {
      const margin = Math.min(options.minTtl ?? 30_000, effectiveBuffer(pair.ttl, this.#buffer));
      if (left <= margin && !this.#timetable.pausing) void this.#refresh();
      return accessToken;
    }
    // Within the pause after a failure nobody gets further than the failure did.
    if (this.#timetable.pausing && this.#outage.error !== null) throw this.#outage.error;
    await this.#refresh();
    const now = this.#need();
    const usable = isUsable(now, this.#clocks.device) && now.tokens.accessToken !== options.refused;
    if (usable) return now.tokens.accessToken;
    throw this.#outage.error ?? new DisconnectedError();
  }

  /**
   * A token that works now and is not `refused`, however long that takes. Rejects when the session ends or
   * is closed.
   * @param ending it was not refused, but is about to end: it will do where nothing can replace it
   */
  async tokenOtherThan(refused: string | null, ending = false): Promise<string> {
    const pair = this.#need();
    const { accessToken } = pair.tokens;
    if (!this.#canRefresh(pair)) return this.#only(pair, ending ? null : refused);
    if (accessToken !== refused && isUsable(pair, this.#clocks.device)) return accessToken;
    const token = this.#waiters.wait(refused);
    if (!this.#timetable.pausing) void this.#refresh();
    return await token;
  }

  /** Closes the session here, at once. What is stored stays, for the next start. */
  stop(): void {
    this.#close(new DisconnectedError());
    this.#setState('unauthenticated');
  }

  /**
   * Ends the session for every tab of this browser, at once here, and has the server revoke it: resolves when
   * it was asked, and goes on asking where it did not answer. Works without a start too, for the session that is
   * stored.
   */
  async logout(): Promise<void> {
    const pair = this.#pair ?? this.#starting?.pair ?? null;
    this.stop();
    const { revoke, generation } = await this.#vault.end(pair);
    // After the tombstone: who hears of it may sign in anew at once, and has to find it.
    tellSignedOut(this.#platform, this.#name, { generation, sid: pair?.sid ?? null });
    await this.#revoker.revoke(revoke);
  }

  /** How it stands, for people who look for a fault. Holds nothing secret. */
  debug(): AuthReport {
    const pair = this.#pair;
    const { device, server } = this.#clocks;
    const { userID, storage, refreshTokens } = this.#options;
    return {
      userID,
      sid: pair?.sid ?? null,
      state: this.#state,
      expiresAt: pair?.tokens.expiresAt ?? null,
      expiresInMs: pair === null ? null : Math.round(lifeLeft(pair, device)),
      refreshInMs: pair === null || !this.#canRefresh(pair) ? null : Math.round(this.#timetable.next(pair)),
      refreshing: this.#flight !== null,
      failures: this.#outage.failures,
      refreshToken: refreshTokens ? 'backend' : pair?.tokens.refreshToken ? 'here' : 'none',
      storage: {
        kind: storage ? 'given' : refreshTokens ? 'memory' : 'platform',
        error: this.#vault.failure?.message ?? null,
      },
      serverClockAheadMs: Math.round(server.offset),
      online: this.#platform.network.online(),
      visible: this.#platform.lifecycle.visible(),
      lastError: this.#lastError,
    };
  }

  /** The session, from storage and `given`; then everything that watches over it. */
  async #begin(given: Pair, epoch: number): Promise<void> {
    const live = (): boolean => epoch === this.#epoch;
    const pair = await this.#vault.begin(given, live);
    if (!live()) return;
    const { userID } = this.#options;
    this.#peers = peers(this.#platform, this.#name, userID, this.#clocks, {
      current: () => this.#pair,
      onPair: (found) => {
        this.#heard = found;
        void this.#hear(found);
      },
      onSignedOut: (logout) => this.#onLogout(logout),
    });
    this.#vault.heard = this.#peers.open;
    const { network, lifecycle, random } = this.#platform;
    this.#undo = [
      network.subscribe((online) => {
        // Everybody comes back at the same moment; not everybody has to ask at the same moment.
        if (online) this.#timetable.resume(random() * 3_000);
      }),
      lifecycle.onResume(() => {
        this.#timetable.resume(0);
        // A page that was frozen has heard nothing: of pairs, nor of a logout.
        void this.#look();
      }),
      this.#vault.subscribe(() => void this.#look()),
    ];
    // Read again, now that the stored estimate of the server's clock is taken up.
    if (pair.tokens.accessToken === given.tokens.accessToken)
      this.#publish(this.#read(given.tokens, pair.receivedAt));
    else await this.#accept(pair);
    if (!live()) return;
    if (this.#vault.failure !== null) this.#saveLater(this.#pair as Pair, 0);
    void this.#revoker.flush();
  }

  #ownStorage(): TokenStorage {
    // Where the backend keeps the refresh token in a cookie, it wants no token in the reach of scripts.
    return this.#options.refreshTokens ? memoryStorage() : this.#platform.storage(this.#name);
  }

  /** Where platforms keep each user's tokens apart: the place in which every user finds what others left to revoke. */
  #common(): Vault[] {
    const { apiUrl, storage, refreshTokens } = this.#options;
    if (storage || refreshTokens) return [];
    const name = `chatsdk:${apiUrl}`;
    return [vault(this.#platform.storage(name), '', `${name}:save`, this.#platform, this.#clocks, () => {})];
  }

  /** Another tab changed the storage. */
  async #look(): Promise<void> {
    const epoch = this.#epoch;
    const stored = await this.#vault.read();
    if (epoch !== this.#epoch) return;
    if (stored.signedOut) this.#signedOut();
    else if (stored.pair !== null) await this.#adopt(stored.pair);
  }

  /** Another tab tells of a logout: of this session, or of one that came before a logout this tab knows of. */
  #onLogout({ generation, sid }: Logout): void {
    const ours = sid !== null && sid === this.#pair?.sid;
    if (!ours && generation <= this.#vault.generation) return;
    void this.#vault.heed(generation);
    this.#signedOut();
  }

  // ---- the refresh ----------------------------------------------------------------------------------------

  /** Refreshes once for all who ask. Settles, and never rejects, when there is a pair, a failure or an end. */
  #refresh(): Promise<void> {
    if (this.#flight !== null) return this.#flight;
    const pair = this.#pair;
    if (pair === null) return Promise.resolve();
    if (!this.#canRefresh(pair)) {
      // Expired by this device's clock, which may be wrong: the server's refusal is what ends it.
      if (!isUsable(pair, this.#clocks.device)) this.#setState('expired');
      return Promise.resolve();
    }
    const epoch = this.#epoch;
    const flight = this.#run(pair, epoch).finally(() => {
      if (this.#flight !== flight) return;
      this.#flight = null;
      this.#timetable.done();
      // What came of it may be the very token that somebody was refused with while it ran.
      if (this.#waiters.any && !this.#timetable.pausing) void this.#refresh();
    });
    this.#flight = flight;
    return flight;
  }

  async #run(old: Pair, epoch: number): Promise<void> {
    const live = (): boolean => epoch === this.#epoch;
    this.#timetable.begin();
    this.#setState('refreshing');
    try {
      const outcome = await this.#refresher.run(old, {
        peers: this.#peers as Peers,
        live,
        current: () => this.#pair,
        newest: () => this.#newestHere(),
      });
      if (live()) await this.#conclude(outcome, old);
    } catch (error) {
      this.#logger.error(`A refresh failed unexpectedly: ${String(error)}`);
      if (live()) await this.#conclude(troubled('protocol', 'unexpected'), old);
    }
    if (live() && this.#state === 'refreshing') this.#setState('valid');
  }

  async #conclude(outcome: Outcome, old: Pair): Promise<void> {
    switch (outcome.kind) {
      case 'stopped':
        return;
      case 'signedOut':
        return this.#signedOut();
      case 'trouble':
        return this.#failed(outcome.trouble, old);
      case 'fatal': {
        this.#end(outcome.code, outcome);
        return await this.#vault.discard(outcome.pair);
      }
      case 'pair': {
        const { pair, stored } = outcome;
        const epoch = this.#epoch;
        await this.#accept(pair, stored && this.#vault.durable);
        if (epoch !== this.#epoch || this.#pair !== pair) return;
        this.#peers?.tell(pair);
        if (!stored) this.#saveLater(pair, 0);
      }
    }
  }

  #canRefresh(pair: Pair): boolean {
    return pair.tokens.refreshToken !== '' || this.#options.refreshTokens !== undefined;
  }

  // ---- pairs ----------------------------------------------------------------------------------------------

  #read(tokens: Tokens, receivedAt?: number): Pair {
    const pair = makePair(this.#options.userID, tokens, this.#clocks, { receivedAt });
    if (pair === null) throw new InvalidInputError('token', 'The token is not an access token of this user.');
    return pair;
  }

  #newestHere(): Pair | null {
    return this.#heard !== null && this.#isNewer(this.#heard) ? this.#heard : this.#pair;
  }

  /**
   * Whether `pair` is newer than the one in use, and no worse: what nothing can replace, such as the pair of a tab
   * whose backend keeps the refresh token, does not take the place of what this tab can refresh.
   */
  #isNewer(pair: Pair): boolean {
    const mine = this.#pair;
    if (mine === null || pair.rank <= mine.rank) return false;
    return this.#canRefresh(pair) || !this.#canRefresh(mine);
  }

  /** Another tab told of a pair. Its storage need not be this one's, so that it is saved before it is used. */
  async #hear(pair: Pair): Promise<void> {
    if (!this.#isNewer(pair)) return;
    const epoch = this.#epoch;
    const live = (): boolean => epoch === this.#epoch;
    this.#vault.note(pair.rank);
    const outcome = outcomeOf(await this.#vault.save(pair, { live }), pair);
    if (!live()) return;
    if (outcome.kind === 'signedOut') this.#signedOut();
    if (outcome.kind === 'pair') await this.#adopt(outcome.pair);
  }

  /** Takes up a pair that is saved, where it is newer. */
  async #adopt(pair: Pair, kept?: boolean): Promise<void> {
    if (this.#isNewer(pair)) await this.#accept(pair, kept);
  }

  /**
   * Tells the host of `pair`, and then uses it. It is saved already.
   * @param kept whether the next start finds it, though the host may not have taken note of it
   */
  async #accept(pair: Pair, kept = this.#vault.durable): Promise<void> {
    const epoch = this.#epoch;
    const failure = await this.#host.tell(pair, () => epoch === this.#epoch);
    if (epoch !== this.#epoch) return;
    if (failure !== null) {
      this.#storageFailed(failure);
      const old = this.#pair;
      // As with one that could not be saved: once it was used, the older one of the app would be a thief's.
      const risky = !kept && old !== null && pair.tokens.refreshToken !== '';
      if (risky && this.#host.again(lifeLeft(old, this.#clocks.device))) {
        return this.#conclude(troubled('storage', 'onTokenRefresh failed'), old);
      }
    }
    if (this.#pair === null || pair.rank > this.#pair.rank) this.#publish(pair);
  }

  /** Uses `pair` from now on. */
  #publish(pair: Pair): void {
    this.#pair = pair;
    this.#outage.over();
    this.#refresher.wake();
    const usable = isUsable(pair, this.#clocks.device);
    this.#setState(usable ? 'valid' : 'expired');
    if (usable) this.#waiters.resolve(pair.tokens.accessToken);
    this.#events.emit('tokens', { user: pair.user, sid: pair.sid });
    this.#timetable.follow(pair);
  }

  /** Tries again to save a pair that is in use though the storage failed. */
  #saveLater(pair: Pair, nth: number): void {
    const delay = SAVE_RETRIES[Math.min(nth, SAVE_RETRIES.length - 1)] ?? 0;
    const epoch = this.#epoch;
    const live = (): boolean => epoch === this.#epoch && this.#pair === pair;
    this.#cancelSave();
    this.#cancelSave = this.#platform.timers.after(delay, async () => {
      if (!live()) return;
      const saved = await this.#vault.save(pair, { live });
      if (!live()) return;
      if (saved.kind === 'failed') this.#saveLater(pair, nth + 1);
      if (saved.kind === 'pair') await this.#adopt(saved.pair);
      if (saved.kind === 'signedOut') this.#signedOut();
    });
  }

  // ---- failures and ends ----------------------------------------------------------------------------------

  /** A refresh of `old` came to nothing. The session is kept, and the next try is set. */
  #failed(trouble: Trouble, old: Pair): void {
    const pair = this.#pair;
    if (pair === null) return;
    const usable = isUsable(pair, this.#clocks.device);
    // One that was adopted meanwhile needs no second try: it is not due.
    if (usable && pair !== old) return;
    this.#setState(usable ? 'stale' : 'expired');
    const { error, delay, report } = this.#outage.failed(trouble, usable);
    this.#timetable.retryIn(delay, trouble.retryAfterMs);
    this.#logger.warn(error.message);
    this.#note(error);
    if (report) this.#host.report(error);
  }

  #end(reason: FatalReason, details: ErrorDetails = {}): RefreshError {
    const error = endedBy(reason, this.#outage.failures + 1, details);
    this.#close(error);
    this.#endedBy = error;
    this.#note(error);
    this.#setState('ended');
    // In this order: the app may sign the user in anew out of its callback.
    this.#events.emit('ended', { reason, error });
    this.#host.report(error);
    return error;
  }

  #signedOut(): void {
    if (this.#pair === null) return;
    this.#close(new DisconnectedError());
    this.#setState('ended');
    this.#events.emit('ended', { reason: 'logged_out', error: null });
  }

  /** Lets go of everything. Synchronous, so that nothing of a closed session happens afterwards. */
  #close(reason: Error): void {
    this.#epoch += 1;
    this.#pair = null;
    this.#heard = null;
    this.#flight = null;
    this.#endedBy = null;
    this.#outage.over();
    this.#host.forget();
    this.#timetable.stop();
    this.#cancelSave();
    this.#starting = null;
    this.#refresher.stop();
    // What an app's storage gave to undo with may be anything.
    for (const undo of this.#undo.splice(0)) guarded(undo);
    this.#peers?.close();
    this.#peers = null;
    this.#waiters.reject(reason);
  }

  /** The token of a pair that nothing can replace. The server's refusal ends the session, no clock does. */
  #only(pair: Pair, refused: string | null): string {
    if (pair.tokens.accessToken !== refused) return pair.tokens.accessToken;
    throw this.#end('refresh_token_missing');
  }

  #storageFailed(error: StorageError): void {
    this.#note(error);
    this.#events.emit('storageError', error);
  }

  #note({ code, message, status, requestId }: ChatError): void {
    this.#lastError = { code, message, status, requestId, at: this.#clocks.device.wall() };
  }

  #need(): Pair {
    if (this.#pair !== null) return this.#pair;
    throw this.#endedBy ?? new NotConnectedError();
  }

  #setState(state: TokenState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#events.emit('state', state);
  }
}
