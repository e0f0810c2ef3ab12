/** The ends of a session, in words. */
import { type ErrorDetails, RefreshError } from '../errors.ts';
import type { FatalReason } from './events.ts';

/** None may speak of the network: apps tell by that word. */
const SENTENCES: Record<FatalReason, string> = {
  refresh_token_invalid: 'Refresh token invalid: sign in again.',
  refresh_token_expired: 'Refresh token expired: sign in again.',
  refresh_token_reused: 'Refresh token used twice: sign in again.',
  session_revoked: 'The session was ended: sign in again.',
  user_banned: 'This user is banned.',
  refresh_token_missing: 'The access token has expired and there is no refresh token: sign in again.',
  host_session_ended: 'Your backend has no session of this user any more: sign in again.',
};

/** The error to tell of. `attempt` counts the refreshes in a row that came to nothing, this one included. */
export function endedBy(reason: FatalReason, attempt: number, details: ErrorDetails = {}): RefreshError {
  return new RefreshError('fatal', reason, SENTENCES[reason], attempt, details);
}
