/** The other tabs of the origin that have the same user connected to the same server. */
import type { Channel, Platform } from '../platform/platform.ts';
import { isRecord, numberOf, textOf } from '../values.ts';
import { type Clocks, pairFromStored } from './pair.ts';
import { parseStored } from './stored.ts';
import type { Pair } from './types.ts';

/** How long to wait for other tabs to tell of their pairs, in ms. */
const ANSWER_TIME = 100;

export interface PeerListener {
  /** The pair to tell of when a tab asks, or null. */
  current(): Pair | null;
  /** A tab has a pair. */
  onPair(pair: Pair): void;
  /** The user logged out in a tab. */
  onSignedOut(logout: Logout): void;
}

/** A logout, as tabs tell each other of it. */
export interface Logout {
  /** How many logouts there have been, this one included. */
  readonly generation: number;
  /** The session that was ended, where it is known. */
  readonly sid: string | null;
}

/** Tells the other tabs that the user logged out, and leaves nothing open. */
export function tellSignedOut(platform: Platform, name: string, logout: Logout): void {
  const channel = platform.channel(name, () => {});
  try {
    channel?.post({ type: 'signedOut', ...logout });
  } catch {
    // They find the tombstone in the storage.
  }
  channel?.close();
}

export class Peers {
  readonly #platform: Platform;
  readonly #channel: Channel | null;
  readonly #userID: string;
  readonly #clocks: Clocks;
  readonly #listener: PeerListener;

  constructor(platform: Platform, name: string, userID: string, clocks: Clocks, listener: PeerListener) {
    this.#platform = platform;
    this.#userID = userID;
    this.#clocks = clocks;
    this.#listener = listener;
    this.#channel = platform.channel(name, (message) => this.#receive(message));
  }

  /** Whether others can be told of anything. */
  get open(): boolean {
    return this.#channel !== null;
  }

  /** Tells the others of a pair that is in use. */
  tell(pair: Pair): void {
    const { tokens, receivedAt } = pair;
    const { offset } = this.#clocks.server;
    this.#post({ type: 'tokens', record: { ...tokens, userID: this.#userID, receivedAt, offset } });
  }

  /** Asks the others for their pairs, and waits until they have had time to answer. */
  async ask(): Promise<void> {
    if (this.#channel === null) return;
    this.#post({ type: 'who' });
    await new Promise<void>((resume) => {
      this.#platform.timers.after(ANSWER_TIME, resume);
    });
  }

  close(): void {
    this.#channel?.close();
  }

  #post(message: unknown): void {
    try {
      this.#channel?.post(message);
    } catch {
      // A channel that was closed under us: storage carries the pair too.
    }
  }

  #receive(message: unknown): void {
    if (!isRecord(message)) return;
    if (message.type === 'signedOut') {
      const { generation, sid } = message;
      this.#listener.onSignedOut({
        generation: numberOf(generation) ?? 0,
        sid: textOf(sid) ?? null,
      });
    }
    if (message.type === 'who') {
      const pair = this.#listener.current();
      if (pair !== null) this.tell(pair);
    }
    const record = message.type === 'tokens' ? parseStored(message.record) : null;
    if (record?.userID !== this.#userID) return;
    this.#clocks.server.assume(record.offset);
    const pair = pairFromStored(record, this.#clocks);
    if (pair !== null) this.#listener.onPair(pair);
  }
}
