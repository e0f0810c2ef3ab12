/** True time, and a device in it: two clocks, timers, locks and channels of its processes, a network. */
import type { Process } from './process.ts';

/** Where true time starts, in ms since the Unix epoch. A Wednesday. */
export const START = 1_704_835_200_000;

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

export class Device {
  /** True time since the start, ms. */
  elapsed = 0;
  mono = 1_000;
  /** How far somebody set the wall clock off, ms. */
  shift = 0;
  online = true;
  readonly timers = new Set<Timer>();
  readonly locks = new Locks();
  readonly channels = new Map<string, Map<Process, (message: unknown) => void>>();
  readonly networkListeners = new Set<(online: boolean) => void>();

  wall(): number {
    return START + this.elapsed + this.shift;
  }

  after(ms: number, fn: () => void): () => void {
    if (!(ms >= 0 && ms <= 2 ** 31 - 1)) throw new RangeError(`a timer of ${ms} ms`);
    const timer = { at: this.mono + ms, fn };
    this.timers.add(timer);
    return () => {
      this.timers.delete(timer);
    };
  }

  /** Lets everything that needs no time happen. */
  async settle(): Promise<void> {
    await new Promise((resume) => setImmediate(resume));
  }

  /** Moves time on by `ms`, and runs each timer at its moment. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const end = this.mono + ms;
    for (;;) {
      let next: Timer | null = null;
      for (const timer of this.timers) if (next === null || timer.at < next.at) next = timer;
      if (next === null || next.at > end) break;
      this.timers.delete(next);
      this.#moveTo(Math.max(this.mono, next.at));
      next.fn();
      await this.settle();
    }
    this.#moveTo(end);
  }

  /** It sleeps: time and the wall clock go on, the monotonic clock and timers stand. */
  sleep(ms: number): void {
    this.elapsed += ms;
  }

  setOnline(online: boolean): void {
    this.online = online;
    for (const listener of [...this.networkListeners]) listener(online);
  }

  #moveTo(mono: number): void {
    this.elapsed += mono - this.mono;
    this.mono = mono;
  }
}

interface Turn {
  readonly process: Process;
  readonly take: () => void;
}

/** Locks as browsers have them: in order of asking, let go of when their holder is gone. */
class Locks {
  readonly #queues = new Map<string, Turn[]>();

  /** Resolves when the lock is `process`'s, with what lets go of it; after `waitMs` without the lock. */
  async take(process: Process, name: string, waitMs: number): Promise<() => void> {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return await new Promise<() => void>((resume) => {
      const patience = process.after(waitMs, () => {
        leave();
        resume(() => {});
      });
      const turn = {
        process,
        take: () => {
          patience();
          process.deliver(() => resume(leave));
        },
      };
      const leave = (): void => {
        const at = queue.indexOf(turn);
        if (at < 0) return;
        queue.splice(at, 1);
        if (at === 0) queue[0]?.take();
      };
      queue.push(turn);
      process.onKilled(leave);
      if (queue.length === 1) turn.take();
    });
  }
}
