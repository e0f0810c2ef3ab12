/**
 * One refresh, from looking whether another tab was faster to the saved pair. Runs under the refresh lock
 * where there is one; without it the server's answer to a repeated token is the same pair, so that a race
 * costs a request and nothing else.
 */
import { age, type Clocks, isUsable } from './pair.ts';
import type { Refreshed } from './refresher.ts';
import { isLate, type Stamp, stampOf, type Troubled, troubled, type Verdict } from './request.ts';
import { floor } from './schedule.ts';
import type { Pair } from './types.ts';
import type { Saved, Vault } from './vault.ts';

/** What one refresh came to. */
export type Outcome =
  /** The newest pair there is: ours, or one that another tab got. Saved, unless `stored` is false. */
  | { readonly kind: 'pair'; readonly pair: Pair; readonly stored: boolean }
  | (Extract<Verdict, { kind: 'fatal' }> & { readonly pair: Pair })
  | Troubled
  | { readonly kind: 'signedOut' }
  /** The session was closed meanwhile. */
  | { readonly kind: 'stopped' };

/** How often one refresh asks again where the server or the clock asks it to. */
const ROUNDS = 3;
const LATE = 'the reply came too late';
const UNSAVED = 'the new tokens were not saved';

/**
 * Gets a pair newer than `old`.
 * @param present presents the refresh token of `pair`, as something that was asked for at `stamp`
 */
export async function attempt(
  clocks: Clocks,
  vault: Vault,
  session: Refreshed,
  old: Pair,
  present: (pair: Pair, stamp: Stamp) => Promise<Verdict>,
): Promise<Outcome> {
  const { device } = clocks;
  const { live } = session;
  let base = old;
  let reason = '';
  for (let round = 0; round < ROUNDS; round += 1) {
    // Taken before storage is read: a tab that freezes in between presents what it read with the time at
    // which it read it, and is told that it is stale instead of being taken for a thief.
    const stamp = stampOf(clocks);
    const found = await newest(clocks, vault, session, base, false);
    if ('kind' in found) return found;
    // A tab was faster. Where its access token has ended too, its refresh token is the one to present: but not right
    // after it was got, whatever the clocks make of it. That is looked at in the reading that the token comes from.
    const early = isUsable(found, device) || age(found, device) < floor(found.ttl);
    // Where it has none, there is nothing to present.
    if (found.rank > old.rank && (early || !session.canRefresh(found))) {
      // Its storage need not be this tab's.
      return outcomeOf(await vault.save(found, live), found);
    }
    base = found;
    if (!(await vault.ready())) return troubled('storage', UNSAVED);

    const verdict = await present(base, stamp);
    if (!live()) return { kind: 'stopped' };
    switch (verdict.kind) {
      case 'pair': {
        // Replayed by a proxy, or out of a cache of the host's: asked again at once, it would be the same.
        if (verdict.pair.rank <= old.rank) return troubled('protocol', 'the reply is not newer');
        const fresh = (): boolean => !isLate(stamp, device);
        const saved = await vault.save(verdict.pair, live, fresh);
        if (saved.kind !== 'late') return outcomeOf(saved, verdict.pair);
        reason = LATE;
        break;
      }
      case 'trouble':
        return verdict;
      case 'again':
        reason = verdict.reason;
        break;
      case 'fatal': {
        const after = await newest(clocks, vault, session, base, true);
        const gone = 'kind' in after;
        if (gone && after.kind !== 'trouble') return after;
        if (gone || after.rank <= base.rank) return { ...verdict, pair: base };
        base = after;
        break;
      }
    }
  }
  return troubled('network', reason);
}

/**
 * The newest pair that storage, other tabs or this one know of, or why none is to be presented. What nothing can replace
 * is passed over for what can be refreshed; where `base` was `refused` for good, it will do for as long as it lives.
 */
async function newest(
  { device }: Clocks,
  vault: Vault,
  session: Refreshed,
  base: Pair,
  refused: boolean,
): Promise<Pair | Outcome> {
  let best = base;
  const isBetter = (pair: Pair | null): pair is Pair =>
    pair !== null &&
    pair.rank > best.rank &&
    (session.canRefresh(pair) || (refused && isUsable(pair, device)));
  const stored = await vault.read();
  if (stored.signedOut) return { kind: 'signedOut' };
  // Storage may be this tab's own, or lag behind; the others are asked before an old token is presented.
  if (!isBetter(stored.pair)) await session.peers.ask();
  if (!session.live()) return { kind: 'stopped' };
  for (const pair of [stored.pair, session.newest(), refused ? vault.spare : null]) {
    if (isBetter(pair)) best = pair;
  }
  if (stored.unknown && vault.withholds(best)) return troubled('storage', 'it cannot be read');
  return best;
}

/** What it comes to that `pair` was saved, or was not. Nobody uses a pair before. */
export function outcomeOf(saved: Saved, pair: Pair): Outcome {
  if (saved.kind === 'late') return troubled('network', LATE);
  if (saved.kind !== 'failed') return saved;
  // As if the reply had been lost. Used unsaved, it would make the server take the older pair, which the
  // next start finds in the storage, for a thief's; unused, the older one is as good as ever.
  return saved.safe ? { kind: 'pair', pair, stored: false } : troubled('storage', UNSAVED);
}
