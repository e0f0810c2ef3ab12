/**
 * Tells the server of sessions that were logged out here, until it has answered: with growing pauses, at once when the
 * network comes back, and for as long as the page lives. Whatever is left then waits in the storage for whoever
 * connects next.
 *
 * An access token that has expired ends nothing any more (`token_expired`), which is as final as any other refusal:
 * it stands here only where the client has nothing better, and where a backend keeps the refresh token, that
 * backend's own logout is what revokes it.
 */
import { mayPass, send } from '../http.ts';
import type { Platform } from '../platform/platform.ts';
import { backoff, LONGEST_PAUSE } from './schedule.ts';
import type { Vault } from './vault.ts';

/** What tells the server. */
export interface Revoker {
  /** Presents each of `tokens` once. What was not answered is noted where the next user finds it, and goes on. */
  revoke(tokens: readonly string[]): Promise<void>;
  /** Goes on with what waits in the storage. Never rejects. */
  flush(): Promise<void>;
}

/** @param vaults where tokens wait, the user's own first */
export function makeRevoker(platform: Platform, apiUrl: string, vaults: readonly Vault[]): Revoker {
  /** What the server has not answered yet: see `StoredTokens.revoke`. */
  const waiting = new Set<string>();
  let busy = false;
  let wake = (): void => {};

  async function present(tokens: readonly string[]): Promise<void> {
    for (const token of tokens) {
      const bearer = token.startsWith('Bearer ');
      // `keepalive`, because apps leave the page right after a logout.
      const answer = await send(platform, 'POST', `${apiUrl}/auth/revoke`, {
        keepalive: true,
        body: bearer ? {} : { refreshToken: token },
        authorization: bearer ? token : undefined,
      });
      // Only our server's own word that it makes no difference to ask again counts as an answer, and it has a body.
      const settled =
        answer.kind === 'problem' ? !mayPass(answer.status) : answer.kind === 'ok' && answer.body;
      if (settled) {
        waiting.delete(token);
        for (const vault of vaults) await vault.revoked(token);
      } else waiting.add(token);
    }
  }

  /** What the server has not answered yet, or somebody else's client would have ticked off. */
  async function left(): Promise<string[]> {
    const all = new Set(waiting);
    for (const vault of vaults) for (const token of await vault.outbox()) all.add(token);
    return [...all];
  }

  async function goOn(): Promise<void> {
    if (busy) return wake();
    busy = true;
    for (let attempt = 1; (await left()).length + waiting.size > 0; attempt += 1) {
      const { network, random, timers } = platform;
      let undo: (() => void)[] = [];
      await new Promise<void>((resume) => {
        wake = resume;
        const pause = backoff(attempt, random(), LONGEST_PAUSE);
        undo = [timers.after(pause, resume), network.subscribe((online) => online && resume())];
      });
      for (const one of undo) one();
      // Read anew: whoever left it may have been answered meanwhile.
      await present(await left());
    }
    busy = false;
  }

  return {
    revoke: async (tokens) => {
      await present(tokens);
      if (waiting.size > 0) await vaults[1]?.keep([...waiting]);
      void goOn();
    },
    flush: goOn,
  };
}
