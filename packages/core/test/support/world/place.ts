/** A place that processes keep tokens in, and the ways in which it fails. */
import type { StoredTokens, TokenStorage } from '../../../src/tokens/storage.ts';
import type { Process } from './process.ts';

export const FAULTS = ['none', 'writes', 'full', 'reads', 'hang', 'slow', 'late'] as const;
export type Fault = (typeof FAULTS)[number];

/** How long a slow place takes to tell what stood there, and to write, in ms. */
const SLOW = 2_000;
/** How long a late one takes to write, in ms: every client has given up by then. */
const LATE = 8_000;

export class Place {
  text: string | null = null;
  fault: Fault = 'none';
  readonly #watchers = new Map<Process, () => void>();

  /** The place as `process` sees it; `events` says whether it is told of what others write. */
  adapter(process: () => Process, events: boolean, hooks: { saving(): void; saved(): void }): TokenStorage {
    const adapter: TokenStorage = {
      get: () => this.#do('reads', process(), () => (this.text === null ? null : JSON.parse(this.text))),
      set: (value) => {
        const mine = process();
        return this.#do('writes', mine, () => {
          if (this.fault === 'full') throw new Error('the storage is full');
          hooks.saving();
          if (!mine.alive) return;
          this.write(JSON.stringify(value), mine);
          hooks.saved();
        }) as void | Promise<void>;
      },
      remove: () => this.#do('writes', process(), () => this.write(null, process())) as void | Promise<void>,
    };
    // Shared, though it may tell nobody of changes.
    adapter.subscribe = () => () => {};
    if (events) {
      adapter.subscribe = (listener) => {
        const mine = process();
        this.#watchers.set(mine, () => mine.deliver(listener));
        const undo = (): void => {
          this.#watchers.delete(mine);
        };
        mine.onKilled(undo);
        return undo;
      };
    }
    return adapter;
  }

  /** Writes, and tells everybody but `writer`. */
  write(text: string | null, writer: Process | null): void {
    if (this.text === text) return;
    this.text = text;
    for (const [process, notify] of this.#watchers) if (process !== writer) queueMicrotask(notify);
  }

  get record(): Partial<StoredTokens> | null {
    try {
      return this.text === null ? null : JSON.parse(this.text);
    } catch {
      return null;
    }
  }

  #do<T>(kind: 'reads' | 'writes', process: Process, work: () => T): T | Promise<T> {
    if (!process.alive || this.fault === 'hang') return new Promise(() => {});
    if (this.fault === kind) throw new Error(`the storage fails: ${kind}`);
    const wait = this.fault === 'slow' ? SLOW : this.fault === 'late' && kind === 'writes' ? LATE : 0;
    const value = kind === 'reads' || wait === 0 ? work() : undefined;
    if (wait === 0) return process.alive ? (value as T) : new Promise(() => {});
    return new Promise<T>((resolve, reject) => {
      process.after(wait, () => {
        try {
          const late = kind === 'reads' ? (value as T) : work();
          if (process.alive) resolve(late);
        } catch (error) {
          // It was full by the time that it came to write.
          reject(error);
        }
      });
    });
  }
}
