/** Who signed in here last: a page that was just loaded has to know it to log out whom nobody has connected yet. */
import type { Timers } from '../platform/platform.ts';
import { within } from '../within.ts';
import type { TokenStorage } from './storage.ts';
import { parseStored } from './stored.ts';
import { STORAGE_TIMEOUT } from './vault.ts';

/** Notes that `userID` signed in. What other users left to be revoked stays. */
export async function rememberUser(storage: TokenStorage, timers: Timers, userID: string): Promise<void> {
  const revoke = parseStored(await tried(timers, () => storage.get()))?.revoke;
  await tried(timers, () => storage.set({ v: 1, userID, generation: 0, ...(revoke && { revoke }) }));
}

/** Who signed in last, or null where nobody did or the storage does not say. */
export async function recallUser(storage: TokenStorage, timers: Timers): Promise<string | null> {
  return parseStored(await tried(timers, () => storage.get()))?.userID || null;
}

/** A storage that fails is told of where tokens are at stake, not here. */
function tried(timers: Timers, work: () => unknown): Promise<unknown> {
  return within(timers, STORAGE_TIMEOUT, work).catch(() => null);
}
