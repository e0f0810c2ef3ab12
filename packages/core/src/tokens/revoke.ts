/**
 * Tells the server of sessions that were logged out here, until it has answered: with growing pauses, at once when the
 * network comes back, and for as long as the page lives. Whatever is left then waits in the storage for whoever
 * connects next.
 *
 * An access token that has expired ends nothing any more (`token_expired`), which is as final as any other refusal:
 * it stands here only where the client has nothing better, and where a backend keeps the refresh token, that
 * backend's own logout is what revokes it.
 */
import { send } from '../http.ts';
import type { Platform } from '../platform/platform.ts';
import { backoff } from './schedule.ts';
import type { Vault } from './vault.ts';

/** The longest pause between two tries, in ms. */
const LONGEST_PAUSE = 3_600_000;

export class Revoker {
  readonly #platform: Platform;
  readonly #apiUrl: string;
  readonly #vaults: readonly Vault[];
  /** What the server has not answered yet: see `StoredTokens.revoke`. */
  readonly #waiting = new Set<string>();
  #busy = false;
  #wake = (): void => {};

  /** @param vaults where tokens wait, the user's own first */
  constructor(platform: Platform, apiUrl: string, vaults: readonly Vault[]) {
    this.#platform = platform;
    this.#apiUrl = apiUrl;
    this.#vaults = vaults;
  }

  /** Presents each of `tokens` once. What was not answered is noted where the next user finds it, and goes on. */
  async revoke(tokens: readonly string[]): Promise<void> {
    await this.#present(tokens);
    const left = [...this.#waiting];
    if (left.length > 0) for (const vault of this.#vaults.slice(1)) await vault.keep(left);
    void this.#goOn();
  }

  /** Goes on with what waits in the storage. Never rejects. */
  async flush(): Promise<void> {
    for (const vault of this.#vaults) {
      for (const token of await vault.outbox()) this.#waiting.add(token);
    }
    await this.#goOn();
  }

  async #goOn(): Promise<void> {
    if (this.#busy) return this.#wake();
    this.#busy = true;
    const { network, random, timers } = this.#platform;
    for (let attempt = 1; this.#waiting.size > 0; attempt += 1) {
      let undo: (() => void)[] = [];
      await new Promise<void>((resume) => {
        this.#wake = resume;
        const pause = backoff(attempt, random(), LONGEST_PAUSE);
        undo = [timers.after(pause, resume), network.subscribe((online) => online && resume())];
      });
      for (const one of undo) one();
      await this.#present(this.#waiting);
    }
    this.#busy = false;
  }

  async #present(tokens: Iterable<string>): Promise<void> {
    for (const token of [...tokens]) {
      const bearer = token.startsWith('Bearer ');
      // `keepalive`, because apps leave the page right after a logout.
      const answer = await send(this.#platform, 'POST', `${this.#apiUrl}/auth/revoke`, {
        body: bearer ? {} : { refreshToken: token },
        keepalive: true,
        ...(bearer ? { authorization: token } : {}),
      });
      // Only our server's own word that it makes no difference to ask again counts as an answer.
      const final = answer.kind === 'problem' && answer.status < 500 && ![408, 429].includes(answer.status);
      if (answer.kind === 'ok' || final) {
        this.#waiting.delete(token);
        for (const vault of this.#vaults) await vault.revoked(token);
      } else this.#waiting.add(token);
    }
  }
}
