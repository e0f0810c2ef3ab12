/** The cookie that holds a refresh token. */
import { InvalidInputError } from './errors.ts';
import type { TokenReply } from './types.ts';

/** How the cookie is set. */
export interface CookieOptions {
  /** Default `chatRefreshToken`. */
  name?: string | undefined;
  /** The path that the routes share: the narrower, the fewer requests carry the cookie. Default `/`. */
  path?: string | undefined;
  /** Default: the host that answers, and no other. */
  domain?: string | undefined;
  /** Default `strict`. `none` is for a page of another site than your backend, and needs `allowedOrigins`. */
  sameSite?: 'strict' | 'lax' | 'none' | undefined;
  /** Default true. False only where you develop without TLS and the browser insists (Safari, on localhost). */
  secure?: boolean | undefined;
}

/** Reads and writes one cookie. */
export class RefreshCookie {
  readonly #name: string;
  readonly #attributes: string;

  constructor(options: CookieOptions = {}) {
    const { name = 'chatRefreshToken', path = '/', domain, sameSite = 'strict', secure = true } = options;
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name))
      throw new InvalidInputError('cookie.name', 'This is no cookie name.');
    if (!/^\/[^;\s]*$/.test(path))
      throw new InvalidInputError('cookie.path', 'The path has to begin with a slash.');
    if (domain !== undefined && !/^[\w.-]+$/.test(domain)) {
      throw new InvalidInputError('cookie.domain', 'This is no domain.');
    }
    if (sameSite === 'none' && !secure) {
      throw new InvalidInputError('cookie.secure', 'Browsers refuse sameSite none without secure.');
    }
    this.#name = name;
    const sites = { strict: 'Strict', lax: 'Lax', none: 'None' };
    const attributes = [`Path=${path}`, 'HttpOnly', `SameSite=${sites[sameSite]}`];
    if (domain !== undefined) attributes.push(`Domain=${domain}`);
    if (secure) attributes.push('Secure');
    this.#attributes = attributes.join('; ');
  }

  /** The refresh token in a `Cookie` header, or null. Where several match, browsers send that of the closest path first. */
  read(header: string | undefined): string | null {
    for (const part of header?.split(';') ?? []) {
      const at = part.indexOf('=');
      if (at > 0 && part.slice(0, at).trim() === this.#name) return part.slice(at + 1).trim() || null;
    }
    return null;
  }

  /** The `Set-Cookie` header that keeps the refresh token of `reply` for as long as it lives. */
  keep(reply: TokenReply): string {
    // By the server's own two times, so that this machine's clock has no say in it.
    const seconds = Math.floor((reply.refreshExpiresAt - reply.serverTime) / 1_000);
    return `${this.#name}=${reply.refreshToken}; Max-Age=${seconds}; ${this.#attributes}`;
  }

  /** The `Set-Cookie` header that removes it. */
  remove(): string {
    return `${this.#name}=; Max-Age=0; ${this.#attributes}`;
  }
}
