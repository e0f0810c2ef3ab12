/** The ends of a session, in words. */
import type { FatalReason } from './events.ts';

/** None may speak of the network: apps tell by that word. */
export const ENDS: Readonly<Record<FatalReason, string>> = {
  refresh_token_invalid: 'Refresh token invalid: sign in again.',
  refresh_token_expired: 'Refresh token expired: sign in again.',
  refresh_token_reused: 'Refresh token used twice: sign in again.',
  session_revoked: 'The session was ended: sign in again.',
  user_banned: 'This user is banned.',
  refresh_token_missing: 'Access token expired, no refresh token: sign in again.',
  host_session_ended: 'The session was ended by your backend: sign in again.',
};
