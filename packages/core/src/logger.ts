import { consoleOf } from './platform/web.ts';
import { redact } from './redact.ts';
import { guarded } from './within.ts';

/** Where the SDK tells what it does. Nothing that it is given holds a token. */
export interface Logger {
  /** What happens in the ordinary course. */
  debug(message: string): void;
  /** What the app's developer should look at. */
  warn(message: string): void;
  /** What the app's developer has to look at. */
  error(message: string): void;
}

/**
 * The same logger, or the console's warnings and errors, with all that looks like a token blotted out: errors of others
 * are quoted.
 */
export function redacting(logger: Partial<Logger> = consoleOf()): Logger {
  // A log that is broken costs nobody the session.
  const to = (level: keyof Logger) => (message: string) => guarded(() => logger[level]?.(redact(message)));
  return { debug: to('debug'), warn: to('warn'), error: to('error') };
}
