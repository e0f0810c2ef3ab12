/**
 * A text of any length in a store of short items, replaced as a whole: whoever reads finds the old text or the
 * new one, wherever the writer was killed.
 *
 * The item `key` is the head. It holds a short text itself; of a long one it names the slot, `a` or `b`, whose
 * items `key.a0`, `key.a1`, … hold the parts. A long text is written to the slot that the head does not name,
 * and the one write of the head makes it count. What it replaces is removed afterwards, from the last item to
 * the first, so that what a kill leaves behind begins at 0 without a gap and the next write finds all of it.
 */

/** A store of short items. Each call is atomic. */
export interface Items {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
  remove(key: string): Promise<void>;
}

/** The most that one item takes, in characters of ASCII. `expo-secure-store` promises 2,048 bytes. */
export const ITEM_LIMIT = 1_800;

type Slot = 'a' | 'b';

interface Head {
  readonly slot: Slot;
  readonly count: number;
  readonly sum: string;
}

/** The text under `key`, or null. Throws a `SyntaxError` where parts of it are missing. */
export async function readText(items: Items, key: string): Promise<string | null> {
  const found = await items.get(key);
  const head = parseHead(found);
  if (head === null) return found;
  let text = '';
  for (let n = 0; n < head.count; n += 1) text += (await items.get(part(key, head.slot, n))) ?? '';
  if (checksum(text) !== head.sum) throw new SyntaxError('parts of the stored text are missing');
  return text;
}

/** Replaces the text under `key`. `text` has to be ASCII, so that characters are bytes. */
export async function writeText(items: Items, key: string, text: string): Promise<void> {
  const before = parseHead(await items.get(key));
  let after: Head | null = null;
  if (text.length > ITEM_LIMIT) {
    const count = Math.ceil(text.length / ITEM_LIMIT);
    after = { slot: before?.slot === 'a' ? 'b' : 'a', count, sum: checksum(text) };
    for (let n = 0; n < count; n += 1) {
      await items.set(part(key, after.slot, n), text.slice(n * ITEM_LIMIT, (n + 1) * ITEM_LIMIT));
    }
  }
  await items.set(key, after === null ? text : formatHead(after));
  try {
    await sweep(items, key, after);
  } catch {
    // The text is written. What is left over is found by the next write.
  }
}

/** Removes the text under `key` and all that was ever left over of it. */
export async function removeText(items: Items, key: string): Promise<void> {
  await items.remove(key);
  await sweep(items, key, null);
}

/** Removes the parts that `head` does not name. */
async function sweep(items: Items, key: string, head: Head | null): Promise<void> {
  for (const slot of ['a', 'b'] as const) {
    const first = head?.slot === slot ? head.count : 0;
    let end = first;
    while ((await items.get(part(key, slot, end))) !== null) end += 1;
    for (let n = end - 1; n >= first; n -= 1) await items.remove(part(key, slot, n));
  }
}

function part(key: string, slot: Slot, n: number): string {
  return `${key}.${slot}${n}`;
}

function formatHead({ slot, count, sum }: Head): string {
  return `chunks ${slot} ${count} ${sum}`;
}

/** The head that names a slot, or null where there is none or it is the text itself. */
function parseHead(text: string | null): Head | null {
  const found = /^chunks ([ab]) (\d{1,3}) ([0-9a-f]{8})$/.exec(text ?? '');
  if (found === null) return null;
  return { slot: found[1] as Slot, count: Number(found[2]), sum: found[3] as string };
}

/** FNV-1a: tells parts that belong together from parts that a restored backup or another process mixed. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (let n = 0; n < text.length; n += 1) hash = Math.imul(hash ^ text.charCodeAt(n), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
