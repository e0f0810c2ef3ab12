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

const PATH = /^\/[!-:<-~]*$/;
/** No refresh token has so many characters. */
const LONGEST_VALUE = 16_384;
/** How many cookies of one name are tried: each is a call to ChatSDK. */
const MOST_VALUES = 8;
/** For how many paths a cookie is removed: each is a header. */
const MOST_PATHS = 8;

/** Reads and writes one cookie. */
export class RefreshCookie {
  readonly #name: string;
  readonly #path: string;
  readonly #domain: string | undefined;
  readonly #rest: string;
  readonly #secure: string;

  constructor(options: CookieOptions = {}) {
    const { name = 'chatRefreshToken', path = '/', domain, sameSite = 'strict', secure = true } = options;
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name))
      throw new InvalidInputError('cookie.name', 'This is no cookie name.');
    if (!PATH.test(path)) {
      throw new InvalidInputError(
        'cookie.path',
        "The path has to begin with a slash, and to be of ASCII without ';'.",
      );
    }
    if (domain !== undefined && !/^[\w.-]+$/.test(domain)) {
      throw new InvalidInputError('cookie.domain', 'This is no domain.');
    }
    if (sameSite === 'none' && !secure) {
      throw new InvalidInputError('cookie.secure', 'Browsers refuse sameSite none without secure.');
    }
    refuseByName(name, path, domain, secure);
    this.#name = name;
    this.#path = path;
    this.#domain = domain;
    const sites = { strict: 'Strict', lax: 'Lax', none: 'None' };
    this.#rest = `HttpOnly; SameSite=${sites[sameSite]}`;
    this.#secure = secure ? '; Secure' : '';
  }

  /**
   * The refresh tokens in a `Cookie` header, of the closest path first. There can be several: a former version of
   * your backend may have set one for another path or domain.
   */
  read(header: string | undefined): string[] {
    const found = new Set<string>();
    for (const part of header?.split(';') ?? []) {
      const at = part.indexOf('=');
      if (at <= 0 || part.slice(0, at).trim() !== this.#name) continue;
      const value = part.slice(at + 1).trim();
      if (value !== '' && value.length <= LONGEST_VALUE) found.add(value);
    }
    return [...found].slice(0, MOST_VALUES);
  }

  /** The `Set-Cookie` header that keeps the refresh token of `reply` for as long as it lives. */
  keep(reply: TokenReply): string {
    // By the server's own two times, so that this machine's clock has no say in it.
    const seconds = Math.floor((reply.refreshExpiresAt - reply.serverTime) / 1_000);
    return this.#set(reply.refreshToken, seconds, this.#path, this.#domain);
  }

  /** The `Set-Cookie` header that removes it. */
  remove(): string {
    return this.#set('', 0, this.#path, this.#domain);
  }

  /**
   * The `Set-Cookie` headers that remove those of other paths above that of the request, and those of this host
   * where there is a domain. One of a closer path would go before the one that is set now, and may be of whoever was
   * signed in earlier.
   */
  removeOthers(url: string): string[] {
    const parts = (url.split(/[?#]/, 1)[0] ?? '').split('/').slice(1);
    const paths = ['/', ...parts.map((_, count) => `/${parts.slice(0, count + 1).join('/')}`)];
    const removed = new Set<string>();
    for (const path of paths.slice(0, MOST_PATHS).filter((path) => PATH.test(path))) {
      if (path !== this.#path) removed.add(this.#set('', 0, path, this.#domain));
      if (this.#domain !== undefined) removed.add(this.#set('', 0, path, undefined));
    }
    return [...removed];
  }

  #set(value: string, seconds: number, path: string, domain: string | undefined): string {
    const where = domain === undefined ? '' : `; Domain=${domain}`;
    return `${this.#name}=${value}; Max-Age=${seconds}; Path=${path}; ${this.#rest}${where}${this.#secure}`;
  }
}

/** Browsers drop such cookies without a word. */
function refuseByName(name: string, path: string, domain: string | undefined, secure: boolean): void {
  const prefix = /^__(?:host|secure)-/i.exec(name)?.[0].toLowerCase();
  if (prefix === undefined) return;
  if (!secure) throw new InvalidInputError('cookie.secure', 'Browsers refuse this name without secure.');
  if (prefix !== '__host-') return;
  if (path !== '/')
    throw new InvalidInputError('cookie.path', "Browsers refuse this name with a path but '/'.");
  if (domain !== undefined) {
    throw new InvalidInputError('cookie.domain', 'Browsers refuse this name with a domain.');
  }
}
