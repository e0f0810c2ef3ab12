/** Keeps API keys and tokens out of text that people and logs read. */

const SECRETS = /eyJ[\w-]*\.[\w-]*\.?[\w-]*|csk_\w+/g;

/** The text with everything in it that looks like a token or an API key blotted out. */
export function redact(text: string): string {
  return text.replace(SECRETS, '[redacted]');
}

/** How deep chains of causes are followed. */
const DEEPEST = 5;
/** How many of the errors that one error stands for are shown. */
const MOST = 4;

/**
 * What may be shown of an error that other code threw: its name, its code and its message, and the same of its
 * causes. Never the error itself: the HTTP client's hold what they read, and a verifier's the claims.
 */
export function redactCause(cause: unknown, depth = 0): unknown {
  if (!(cause instanceof Error)) return redact(typeof cause === 'string' ? cause : typeof cause);
  const shown = new Error(redact(String(cause.message)));
  shown.name = redact(String(cause.name));
  // Where it was made is known from the error that carries it; the copy's own place says nothing.
  shown.stack = `${shown.name}: ${shown.message}`;
  const { code } = cause as { code?: unknown };
  if (typeof code === 'string' || typeof code === 'number') {
    Object.assign(shown, { code: typeof code === 'string' ? redact(code) : code });
  }
  if (depth >= DEEPEST) return shown;
  if (cause.cause !== undefined) shown.cause = redactCause(cause.cause, depth + 1);
  if (cause instanceof AggregateError) {
    Object.assign(shown, {
      errors: cause.errors.slice(0, MOST).map((error: unknown) => redactCause(error, depth + 1)),
    });
  }
  return shown;
}
