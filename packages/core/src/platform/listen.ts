/** Listens on an event target that may not be there, or not be one. Returns what ends it. */
export function listen<E extends Event>(
  target: Partial<EventTarget> | null | undefined,
  names: readonly string[],
  fn: (event: E) => void,
): () => void {
  const listener = fn as (event: Event) => void;
  for (const name of names) target?.addEventListener?.(name, listener);
  return () => {
    for (const name of names) target?.removeEventListener?.(name, listener);
  };
}
