/** The other tabs of the origin that have the same user connected to the same server. */
import type { Platform } from '../platform/platform.ts';
import { isRecord, numberOf, textOf } from '../values.ts';
import { guarded } from '../within.ts';
import { type Clocks, pairFromStored } from './pair.ts';
import { parseStored } from './stored.ts';
import type { Pair } from './types.ts';

/** How long to wait for other tabs to tell of their pairs, in ms. */
const ANSWER_TIME = 100;

/** A logout, as tabs tell each other of it. */
export interface Logout {
  /** How many logouts there have been, this one included. */
  readonly generation: number;
  /** The session that was ended, where it is known. */
  readonly sid: string | null | undefined;
}

/** Tells the other tabs that the user logged out, and leaves nothing open. */
export function tellSignedOut(platform: Platform, name: string, logout: Logout): void {
  const channel = platform.channel(name, () => {});
  // Where it fails, they find the tombstone in the storage.
  guarded(() => channel?.post({ type: 'signedOut', ...logout }));
  channel?.close();
}

export type Peers = ReturnType<typeof makePeers>;

/**
 * @param current the pair to tell of when a tab asks, or null
 * @param onPair a tab has a pair
 * @param onSignedOut the user logged out in a tab: see {@link Logout}
 */
export function makePeers(
  platform: Platform,
  name: string,
  userID: string,
  clocks: Clocks,
  current: () => Pair | null,
  onPair: (pair: Pair) => void,
  onSignedOut: (generation?: number, sid?: string) => void,
) {
  const channel = platform.channel(name, (message) => {
    if (!isRecord(message)) return;
    const { type, generation, sid } = message;
    if (type === 'signedOut') {
      onSignedOut(numberOf(generation), textOf(sid));
    }
    if (type === 'who') {
      const pair = current();
      if (pair !== null) tell(pair);
    }
    const record = type === 'tokens' ? parseStored(message.record) : null;
    if (record?.userID !== userID) return;
    clocks.server.assume(record.offset);
    const pair = pairFromStored(record, clocks);
    if (pair) onPair(pair);
  });

  function post(message: unknown): void {
    // It may have been closed under us: storage carries the pair too.
    guarded(() => channel?.post(message));
  }

  /** Tells the others of a pair that is in use. */
  function tell({ tokens, receivedAt }: Pair): void {
    const { offset } = clocks.server;
    post({ type: 'tokens', record: { ...tokens, userID, receivedAt, offset } });
  }

  return {
    tell,

    /** Whether others can be told of anything. */
    open: channel !== null,

    /** Asks the others for their pairs, and waits until they have had time to answer. */
    async ask(): Promise<void> {
      if (channel === null) return;
      post({ type: 'who' });
      await new Promise<void>((resume) => {
        platform.timers.after(ANSWER_TIME, resume);
      });
    },

    close: (): void => channel?.close(),
  };
}
