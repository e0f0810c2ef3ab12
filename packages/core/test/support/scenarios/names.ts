/** What pairs are called: `s.2` is the second successor of what was minted as session `s`. */
import type { Tokens } from '../../../src/tokens/types.ts';
import { read, type ServerDouble } from '../server-double.ts';

export class Names {
  readonly #pairs = new Map<string, Tokens[]>();

  /** Notes a pair that the server gave. */
  note(pair: ReturnType<ServerDouble['mint']>): void {
    const known = this.#pairs.get(pair.sessionId) ?? [];
    this.#pairs.set(pair.sessionId, known);
    const { accessToken, refreshToken, expiresAt } = pair;
    if (this.#index(known, refreshToken) < 0) known.push({ accessToken, refreshToken, expiresAt });
  }

  /** The pair that is called `name`. */
  pair(name: string): Tokens {
    const [session = '', index] = name.split('.');
    const pair = this.#pairs.get(session)?.[Number(index)];
    if (pair === undefined) throw new Error(`there is no pair ${name} yet`);
    return pair;
  }

  ofRefreshToken(token: string): string {
    const { sid } = read(token);
    return `${sid}.${this.#index(this.#pairs.get(sid) ?? [], token)}`;
  }

  ofAccessToken(token: string): string {
    const { sid, rc } = read(token);
    return `${sid}.${(this.#pairs.get(sid) ?? []).findIndex((pair) => read(pair.accessToken).rc === rc)}`;
  }

  /** What a token of either kind belongs to. */
  of(token: string): string {
    return 'rc' in read(token) ? this.ofAccessToken(token) : this.ofRefreshToken(token);
  }

  /** The newest pair of a session. */
  newest(session: string): Tokens {
    return this.pair(`${session}.${(this.#pairs.get(session)?.length ?? 0) - 1}`);
  }

  #index(pairs: readonly Tokens[], refreshToken: string): number {
    const { n } = read(refreshToken);
    return pairs.findIndex((pair) => read(pair.refreshToken).n === n);
  }
}
