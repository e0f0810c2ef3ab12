/** Keeps API keys and tokens out of text that people and logs read. */

const SECRETS = /eyJ[\w-]*\.[\w-]*\.?[\w-]*|csk_\w+/g;

/** The text with everything in it that looks like a token or an API key blotted out. */
export function redact(text: string): string {
  return text.replace(SECRETS, '[redacted]');
}

/** The error itself, or a copy without secrets where its text quotes some, as errors of parsers do. */
export function redactCause(cause: unknown): unknown {
  if (typeof cause === 'string') return redact(cause);
  if (!(cause instanceof Error)) return cause;
  const text = `${cause.message}${cause.stack}`;
  if (redact(text) === text) return cause;
  const copy = new Error(redact(cause.message));
  copy.name = cause.name;
  return copy;
}
