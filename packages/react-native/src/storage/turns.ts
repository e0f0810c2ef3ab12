/** Lets the adapters of one native store take turns, whichever client they belong to. */
import { atMost, nothing } from '../locks.ts';
import { timers } from '../platform.ts';

/** How long a native call that does not come back holds up those after it, in ms. */
const PATIENCE = 10_000;

const lines = new WeakMap<object, Map<string, Promise<void>>>();

/** Runs `work` after what was asked before it for `key` of `store`, whatever came of that. */
export function inTurn<T>(store: object, key: string, work: () => Promise<T>): Promise<T> {
  const keys = lines.get(store) ?? new Map<string, Promise<void>>();
  lines.set(store, keys);
  const before = keys.get(key) ?? Promise.resolve();
  const turn = before.then(work);
  const tail = before.then(() => atMost(timers, PATIENCE, turn.then(nothing, nothing)));
  keys.set(key, tail);
  return turn;
}
