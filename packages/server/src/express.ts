/**
 * Routes for Express, and for everything else that calls `(req, res, next)` with Node's own request and
 * response.
 *
 * ```js
 * app.post('/api/chat/token', tokenRoute({ chat, user: (req) => req.user && { userId: req.user.id } }));
 * ```
 *
 * Mount them with POST, behind whatever tells who somebody is.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type CookieOptions, RefreshCookie } from './cookie.ts';
import { isOwnRequest } from './cross-origin.ts';
import { type Answer, crossOrigin, issue, logout, refresh } from './routes.ts';
import { type ChatSDKServer, createChatSDKServer } from './server.ts';
import type { TokenRequest } from './types.ts';

export type { CookieOptions } from './cookie.ts';

/** A handler in the shape of Express. */
export type Handler<Request extends IncomingMessage> = (
  req: Request,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** What {@link tokenRoute} takes. */
export interface TokenRouteOptions<Request extends IncomingMessage> {
  /** Default: one with the address and the key of the environment. */
  chat?: ChatSDKServer | undefined;
  /**
   * Who is asking, by your own authentication: what to mint, or null where nobody is signed in. In TypeScript,
   * say that `req` is Express's `Request`.
   */
  user: (
    req: Request,
  ) => TokenRequest | null | undefined | false | '' | Promise<TokenRequest | null | undefined | false | ''>;
  /** Told what went wrong between your backend and ChatSDK. Default: a warning of the process. */
  onError?: ((error: unknown, req: Request) => void) | undefined;
}

/** What {@link cookieRoutes} takes. */
export interface CookieRoutesOptions<Request extends IncomingMessage> extends TokenRouteOptions<Request> {
  cookie?: CookieOptions | undefined;
  /** Other origins whose pages may call the routes, such as `https://app.example.com`. Your CORS has to allow them too. */
  allowedOrigins?: readonly string[] | undefined;
}

/** A route that answers with tokens for the person who asks. */
export function tokenRoute<Request extends IncomingMessage = IncomingMessage>(
  options: TokenRouteOptions<Request>,
): Handler<Request> {
  const chat = options.chat ?? createChatSDKServer();
  return handler(options, async (req) => await issue(chat, (await options.user(req)) || null, null));
}

/**
 * Routes that keep the refresh token in an httpOnly cookie, where no script can read it: `issue` signs in,
 * `refresh` is what the SDK's option `refreshTokens` calls, `logout` ends the session. They answer with the
 * token reply without its `refreshToken`. Requests from pages of other origins are refused.
 */
export function cookieRoutes<Request extends IncomingMessage = IncomingMessage>(
  options: CookieRoutesOptions<Request>,
): { issue: Handler<Request>; refresh: Handler<Request>; logout: Handler<Request> } {
  const chat = options.chat ?? createChatSDKServer();
  const cookie = new RefreshCookie(options.cookie);
  const allowed = new Set(options.allowedOrigins);
  const own = (answer: (req: Request) => Promise<Answer>) =>
    handler(options, async (req) => (isOwnRequest(req.headers, allowed) ? await answer(req) : crossOrigin()));
  const held = (req: Request) => ({ cookie, values: cookie.read(req.headers.cookie), url: pathOf(req) });
  return {
    issue: own(async (req) => await issue(chat, (await options.user(req)) || null, held(req))),
    refresh: own(async (req) => {
      const cookies = held(req);
      // Who has no cookie has nothing to say.
      return await refresh(chat, cookies, cookies.values.length > 0 ? await sentAt(req) : undefined);
    }),
    logout: own(async (req) => await logout(chat, held(req))),
  };
}

function handler<Request extends IncomingMessage>(
  options: TokenRouteOptions<Request>,
  answer: (req: Request) => Promise<Answer>,
): Handler<Request> {
  const report = options.onError ?? warn;
  return (req, res, next) => {
    answer(req)
      .then((found) => {
        // First: a log that is broken must not cost the browser its answer, which may remove a cookie.
        write(res, found);
        if (found.error === undefined) return;
        try {
          report(found.error, req);
        } catch (error) {
          warn(error);
        }
      })
      .catch(next);
  };
}

function write(res: ServerResponse, answer: Answer): void {
  res.statusCode = answer.status;
  res.setHeader('Cache-Control', 'no-store');
  // Appended: the host may have cookies of its own to set.
  for (const cookie of answer.cookies ?? []) res.appendHeader('Set-Cookie', cookie);
  if (answer.retryAfter !== undefined) res.setHeader('Retry-After', String(answer.retryAfter));
  if (answer.body === null) {
    res.end();
    return;
  }
  if (typeof answer.body === 'string') {
    res.setHeader('Content-Type', 'text/plain; charset=utf-8');
    res.end(answer.body);
    return;
  }
  const isProblem = 'code' in answer.body;
  res.setHeader('Content-Type', isProblem ? 'application/problem+json' : 'application/json; charset=utf-8');
  res.end(JSON.stringify(answer.body));
}

/** What is read of a request that may say when it was sent, in bytes. */
const LONGEST_BODY = 4_096;

/** When the page sent the request, by its estimate of the server's clock, where it says so. */
async function sentAt(req: IncomingMessage & { body?: unknown }): Promise<unknown> {
  // What a body parser of the host found, or else what is still to be read.
  const found = req.body ?? (await unread(req));
  const body = typeof found === 'string' || Buffer.isBuffer(found) ? parse(String(found)) : found;
  return typeof body === 'object' && body !== null && 'sentAt' in body ? body.sentAt : undefined;
}

/** The body, as far as nobody has read it; empty where it is longer than any that the SDK sends. */
async function unread(req: IncomingMessage): Promise<string> {
  if (!req.readable) return '';
  return await new Promise<string>((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const end = (): void => {
      req.off('data', take);
      resolve(size > LONGEST_BODY ? '' : Buffer.concat(chunks).toString());
    };
    const take = (chunk: Buffer | string): void => {
      chunks.push(Buffer.from(chunk));
      size += chunk.length;
      // What comes after is dropped, so that the browser can finish sending and read the answer.
      if (size > LONGEST_BODY) end();
    };
    req.on('data', take).once('end', end).once('close', end).once('error', end);
    // To listen does not wake a request that somebody paused.
    req.resume();
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The path from the root of the host: Express takes the one that a router is mounted at off `url`. */
function pathOf(req: IncomingMessage & { originalUrl?: unknown }): string {
  return typeof req.originalUrl === 'string' ? req.originalUrl : (req.url ?? '/');
}

function warn(error: unknown): void {
  process.emitWarning(
    error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    'ChatSDKWarning',
  );
}
