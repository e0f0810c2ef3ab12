/** The deployment's public keys: kept, shared between calls, and asked for again within bounds. */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { type ChatSDKError, NetworkError } from './errors.ts';
import type { Settings } from './options.ts';
import { isRecord, send } from './request.ts';

/** How long a set is used without asking again, in ms: what the server allows. */
const FRESH = 600_000;
/** How long a set is used when it cannot be had again, in ms: no access token lives for longer. */
const USABLE = 24 * 3_600_000;
/** How long to wait between two fetches that unknown key ids or failures cause, in ms. */
const COOLDOWN = 30_000;
/** The same after a failure with no keys at all, in ms: nothing can be verified meanwhile. */
const FIRST_COOLDOWN = 1_000;
/** How long one fetch may take with its retries, in ms. */
const PATIENCE = 4_000;

interface Held {
  readonly find: JWTVerifyGetKey;
  readonly fetchedAt: number;
}

export class KeySet {
  readonly #settings: Settings;
  #held: Held | null = null;
  #flight: Promise<void> | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #failure: ChatSDKError | null = null;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The key that a token names, in the shape that `jwtVerify` takes. */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const held = await this.#current();
    try {
      return await held.find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
    }
    // A key that is younger than the set, or a token that names one that never was: who sends such tokens
    // does not decide how often the keys are fetched.
    if (this.#flight !== null) await this.#flight;
    const asks = this.#mayAsk(COOLDOWN);
    if (asks) await this.#ask();
    try {
      return await (this.#held ?? held).find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      if (this.#failure !== null) throw this.#failure;
      // Only keys that were fetched for it say that there is none: the set may be older than the token.
      if (asks) throw error;
      throw new NetworkError(
        'network',
        'Network error: the access token names a key that the keys fetched a moment ago do not hold.',
        {
          retryable: true,
          retryAfterMs: Math.max(1, Math.ceil(COOLDOWN - (this.#settings.runtime.mono() - this.#askedAt))),
        },
      );
    }
  };

  async #current(): Promise<Held> {
    if (this.#usable() === null) {
      if (this.#flight !== null || this.#mayAsk(FIRST_COOLDOWN)) await this.#ask();
    } else if (this.#age() >= FRESH && this.#mayAsk(COOLDOWN)) {
      // Nobody waits for it, and it fails for nobody: the keys of before are as good as the tokens that they
      // signed, for as long as an outage lasts.
      void this.#ask();
    }
    const held = this.#usable();
    if (held !== null) return held;
    throw (
      this.#failure ??
      new NetworkError('network', 'Network error: the keys cannot be had.', { retryable: true })
    );
  }

  #usable(): Held | null {
    return this.#age() < USABLE ? this.#held : null;
  }

  #age(): number {
    return this.#held === null
      ? Number.POSITIVE_INFINITY
      : this.#settings.runtime.mono() - this.#held.fetchedAt;
  }

  #mayAsk(cooldown: number): boolean {
    return this.#settings.runtime.mono() - this.#askedAt >= cooldown;
  }

  #ask(): Promise<void> {
    this.#flight ??= this.#fetch().finally(() => {
      this.#askedAt = this.#settings.runtime.mono();
      this.#flight = null;
    });
    return this.#flight;
  }

  async #fetch(): Promise<void> {
    const call = { method: 'GET', path: '/.well-known/jwks.json', key: false, timeoutMs: PATIENCE } as const;
    try {
      const set = await send(this.#settings, call);
      if (!isRecord(set) || !Array.isArray(set.keys)) {
        throw new NetworkError('foreign_answer', 'Network error: the reply holds no keys.', {
          retryable: true,
        });
      }
      const keys = set.keys.filter((key) => isRecord(key) && key.kty === 'OKP' && key.crv === 'Ed25519');
      this.#held = {
        find: createLocalJWKSet({ keys } as JSONWebKeySet),
        fetchedAt: this.#settings.runtime.mono(),
      };
      this.#failure = null;
    } catch (error) {
      this.#failure = error as ChatSDKError;
    }
  }
}
