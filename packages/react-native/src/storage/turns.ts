/** Lets the adapters of one native store take turns, whichever client they belong to. */

const lines = new WeakMap<object, Map<string, Promise<unknown>>>();

/** Runs `work` after what was asked before it for `key` of `store`, whatever came of that. */
export function inTurn<T>(store: object, key: string, work: () => Promise<T>): Promise<T> {
  const keys = lines.get(store) ?? new Map<string, Promise<unknown>>();
  lines.set(store, keys);
  const turn = (keys.get(key) ?? Promise.resolve()).then(work);
  const tail = turn.then(nothing, nothing);
  keys.set(key, tail);
  return turn;
}

function nothing(): void {}
