import type { Logger } from './logger.ts';

/** A typed list of listeners; each subscription returns its own undo. */
export interface Emitter<Events extends object> {
  /** Calls `listener` at each `event` until the returned function is called. */
  on<E extends keyof Events>(event: E, listener: (payload: Events[E]) => void): () => void;
  /** Calls the listeners of `event`, in the order in which they came. */
  emit<E extends keyof Events>(event: E, payload: Events[E]): void;
}

/** @param logger told of what a listener throws; the other listeners are called all the same. */
export function makeEmitter<Events extends object>(logger: Logger): Emitter<Events> {
  // One entry for each subscription, so that the same function given twice has two undos.
  const entries = new Set<{ readonly event: keyof Events; readonly listener: (payload: never) => void }>();
  return {
    on: (event, listener) => {
      const entry = { event, listener };
      entries.add(entry);
      return () => {
        entries.delete(entry);
      };
    },
    emit: (event, payload) => {
      for (const entry of [...entries]) {
        try {
          if (entry.event === event) entry.listener(payload as never);
        } catch (error) {
          logger.error(`A listener threw: ${String(error)}`);
        }
      }
    },
  };
}
