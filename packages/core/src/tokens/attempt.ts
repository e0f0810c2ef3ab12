/**
 * One refresh, from looking whether another tab was faster to the saved pair. Runs under the refresh lock
 * where there is one; without it the server's answer to a repeated token is the same pair, so that a race
 * costs a request and nothing else.
 */
import type { Clock } from '../platform/platform.ts';
import { age, isUsable } from './pair.ts';
import type { Peers } from './peers.ts';
import { isLate, type Stamp, type Trouble, type Verdict } from './request.ts';
import { floor } from './schedule.ts';
import type { Pair } from './types.ts';
import type { Saved, Vault } from './vault.ts';

/** What one refresh came to. */
export type Outcome =
  /** The newest pair there is: ours, or one that another tab got. Saved, unless `stored` is false. */
  | { readonly kind: 'pair'; readonly pair: Pair; readonly stored: boolean }
  | { readonly kind: 'fatal'; readonly verdict: Extract<Verdict, { kind: 'fatal' }>; readonly pair: Pair }
  | { readonly kind: 'trouble'; readonly trouble: Trouble }
  | { readonly kind: 'signedOut' }
  /** The session was closed meanwhile. */
  | { readonly kind: 'stopped' };

export interface AttemptParts {
  readonly clock: Clock;
  readonly vault: Vault;
  readonly peers: Peers;
  /** The newest pair that this tab has. Other tabs may change it meanwhile. */
  current(): Pair | null;
  /** Presents the refresh token of `pair`, as something that was asked for at `stamp`. */
  present(pair: Pair, stamp: Stamp): Promise<Verdict>;
  /** This moment, by the clocks of device and server. */
  stamp(): Stamp;
  /** False once the session was closed. */
  live(): boolean;
}

/** How often one refresh asks again where the server or the clock asks it to. */
const ROUNDS = 3;
const LATE = 'the reply came too late';
const UNSAVED = 'the new tokens were not saved';

/** Gets a pair newer than `old`. */
export async function attempt(parts: AttemptParts, old: Pair): Promise<Outcome> {
  let base = old;
  let reason = '';
  const live = (): boolean => parts.live();
  for (let round = 0; round < ROUNDS; round += 1) {
    // Taken before storage is read: a tab that freezes in between presents what it read with the time at
    // which it read it, and is told that it is stale instead of being taken for a thief.
    const stamp = parts.stamp();
    const found = await newest(parts, base);
    if ('kind' in found) return found;
    // A tab was faster. Where its access token has ended too, its refresh token is the one to present: but not right
    // after it was got, whatever the clocks make of it. That is looked at in the reading that the token comes from.
    const early = isUsable(found, parts.clock) || age(found, parts.clock) < floor(found.ttl);
    if (found.rank > old.rank && early) {
      // Its storage need not be this tab's.
      return outcomeOf(await parts.vault.save(found, { live }), found);
    }
    base = found;
    if (!(await parts.vault.ready())) return troubled('storage', UNSAVED);

    const verdict = await parts.present(base, stamp);
    if (!parts.live()) return { kind: 'stopped' };
    switch (verdict.kind) {
      case 'pair': {
        // Replayed by a proxy, or out of a cache of the host's: asked again at once, it would be the same.
        if (verdict.pair.rank <= old.rank) return troubled('protocol', 'the reply is not newer');
        const fresh = (): boolean => !isLate(stamp, parts.clock);
        const saved = await parts.vault.save(verdict.pair, { fresh, live });
        if (saved.kind !== 'late') return outcomeOf(saved, verdict.pair);
        reason = LATE;
        break;
      }
      case 'trouble':
        return { kind: 'trouble', trouble: verdict.trouble };
      case 'again':
        reason = verdict.reason;
        break;
      case 'fatal': {
        const after = await newest(parts, base, parts.vault.spare);
        const gone = 'kind' in after;
        if (gone && after.kind !== 'trouble') return after;
        if (gone || after.rank <= base.rank) return { kind: 'fatal', verdict, pair: base };
        base = after;
        break;
      }
    }
  }
  return troubled('network', reason);
}

/** A failure that no answer of a server stands behind. */
export function troubled(kind: Trouble['kind'], reason: string, retryAfterMs = 0): Outcome {
  return { kind: 'trouble', trouble: { kind, reason, retryAfterMs, status: null, requestId: null } };
}

/** The newest pair that storage, other tabs or this one know of, or why none is to be presented. */
async function newest(parts: AttemptParts, base: Pair, spare: Pair | null = null): Promise<Pair | Outcome> {
  const stored = await parts.vault.read();
  if (stored.signedOut) return { kind: 'signedOut' };
  // Storage may be this tab's own, or lag behind; the others are asked before an old token is presented.
  if (stored.pair === null || stored.pair.rank <= base.rank) await parts.peers.ask();
  if (!parts.live()) return { kind: 'stopped' };
  let best = base;
  for (const pair of [stored.pair, parts.current(), spare]) {
    if (pair !== null && pair.rank > best.rank) best = pair;
  }
  if (stored.unknown && parts.vault.withholds(best)) return troubled('storage', 'it cannot be read');
  return best;
}

/** What it comes to that `pair` was saved, or was not. Nobody uses a pair before. */
export function outcomeOf(saved: Saved, pair: Pair): Outcome {
  switch (saved.kind) {
    case 'saved':
      return { kind: 'pair', pair: saved.pair, stored: true };
    case 'signedOut':
    case 'stopped':
      return { kind: saved.kind };
    case 'late':
      return troubled('network', LATE);
    case 'failed':
      if (saved.safe) return { kind: 'pair', pair, stored: false };
      // As if the reply had been lost. Used unsaved, it would make the server take the older pair, which the
      // next start finds in the storage, for a thief's; unused, the older one is as good as ever.
      return troubled('storage', UNSAVED);
  }
}
