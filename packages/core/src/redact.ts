/** Keeps secrets out of text that people and logs read. */

const SECRETS = /eyJ[\w-]*\.[\w-]*\.?[\w-]*|csk_\w+/g;

/** The text with everything in it that looks like a token or an API key blotted out. */
export function redact(text: string): string {
  return text.replace(SECRETS, '[redacted]');
}

/** What is kept of an error. Whatever else hangs on one is nobody's to read. */
const KEPT = ['name', 'message', 'stack', 'cause', 'errors'];

/** What led to an error, copied without secrets: names, messages and stacks, to a depth of `depth` causes. */
export function redactCause(cause: unknown, depth = 5): unknown {
  if (typeof cause === 'string') return redact(cause);
  if (Array.isArray(cause)) return cause.map((one) => redactCause(one, depth - 1));
  if (Object(cause) !== cause) return cause;
  const from = cause as Record<string, unknown>;
  const copy = new Error('') as Error & Record<string, unknown>;
  for (const key of KEPT) {
    if (depth > 0 && from[key] !== undefined) copy[key] = redactCause(from[key], depth - 1);
  }
  return copy;
}
