/** Tells the server of sessions that were logged out here, until it has answered. */
import { send } from '../http.ts';
import type { Platform } from '../platform/platform.ts';
import { backoff } from './schedule.ts';
import type { Vault } from './vault.ts';

/** How often one run tries in the background; what is left then waits in the outbox for the next connect. */
const ATTEMPTS = 5;

/** Presents each of `tokens` (see `StoredTokens.revoke`), ticks off in `vault` those that were answered, and returns the others. */
export async function revokeOnce(
  platform: Platform,
  apiUrl: string,
  vault: Vault,
  tokens: readonly string[],
): Promise<readonly string[]> {
  const unanswered: string[] = [];
  for (const token of tokens) {
    const bearer = token.startsWith('Bearer ');
    // `keepalive`, because apps leave the page right after a logout.
    const answer = await send(platform, 'POST', `${apiUrl}/auth/revoke`, {
      body: bearer ? {} : { refreshToken: token },
      keepalive: true,
      ...(bearer ? { authorization: token } : {}),
    });
    // Only our server's own word that it makes no difference to ask again counts as an answer.
    const final = answer.kind === 'problem' && answer.status < 500 && ![408, 429].includes(answer.status);
    const settled = answer.kind === 'ok' || final;
    if (settled) await vault.revoked(token);
    else unanswered.push(token);
  }
  return unanswered;
}

/** Goes on with what {@link revokeOnce} left, with growing pauses. Never rejects. */
export async function revokeLater(
  platform: Platform,
  apiUrl: string,
  vault: Vault,
  tokens: readonly string[],
): Promise<void> {
  let left = tokens;
  for (let attempt = 1; left.length > 0 && attempt < ATTEMPTS; attempt += 1) {
    const pause = backoff(attempt, platform.random());
    await new Promise<void>((resume) => {
      platform.timers.after(pause, resume);
    });
    left = await revokeOnce(platform, apiUrl, vault, left);
  }
}
