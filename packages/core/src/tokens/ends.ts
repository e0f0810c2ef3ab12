/** The ends of a session, in words. */
import type { FatalReason } from './events.ts';

/** May not speak of the network: apps tell by that word. */
export function sentenceOf(reason: FatalReason): string {
  return `The session is over (${reason}): sign in again.`;
}
