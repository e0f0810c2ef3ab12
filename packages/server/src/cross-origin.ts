/**
 * Tells requests of your own pages from those that another site made a browser send (CSRF). The cookie's
 * `SameSite` does most of it; this covers sibling subdomains, `sameSite: 'none'` and old browsers. The rule is
 * that of Go's `net/http.CrossOriginProtection`.
 */
import type { IncomingHttpHeaders } from 'node:http';

/** Whether a request that changes something may be answered. */
export function isOwnRequest(headers: IncomingHttpHeaders, allowedOrigins: ReadonlySet<string>): boolean {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  if (site === 'same-origin' || site === 'none') return true;
  if (origin !== undefined && allowedOrigins.has(origin)) return true;
  if (site !== undefined) return false;
  // No browser of our time: without an origin it is no page at all.
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
