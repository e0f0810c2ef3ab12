import { redact } from './redact.ts';

/** Where the SDK tells what it does. Nothing that it is given holds a token. */
export interface Logger {
  /** What happens in the ordinary course. */
  debug(message: string): void;
  /** What the app's developer should look at. */
  warn(message: string): void;
  /** What the app's developer has to look at. */
  error(message: string): void;
}

/** The default: says nothing. */
export const silent: Logger = { debug: () => {}, warn: () => {}, error: () => {} };

/** The same logger, with everything that looks like a token blotted out: messages quote errors of others. */
export function redacting(logger: Logger): Logger {
  return {
    debug: (message) => logger.debug(redact(message)),
    warn: (message) => logger.warn(redact(message)),
    error: (message) => logger.error(redact(message)),
  };
}
