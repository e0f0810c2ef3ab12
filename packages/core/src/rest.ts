/** Requests to the API as the current user. */
import { InvalidInputError, RequestError } from './errors.ts';
import { mayPass, send } from './http.ts';
import type { Platform } from './platform/platform.ts';
import { textOf } from './values.ts';

/** What a request may carry. */
export interface RequestOptions {
  /** Sent as JSON. */
  body?: unknown;
  /** Gives the request up. */
  signal?: AbortSignal | undefined;
}

/** Where requests get their tokens. */
export interface RequestTokens {
  /** A token that works, and is not `refused`. */
  getToken(options?: { refused?: string }): Promise<string>;
}

/** What the server says where it would not have the token: another one may do. */
const TOKEN_REFUSED = ['token_expired', 'token_invalid', 'token_revoked'];

/** One slash, and neither backslashes nor control characters: nothing that could name another host. */
const PATH = /^\/(?!\/)[ -[\]-~\xa0-\uffff]*$/;

/**
 * Sends a request with a token that works. Where the server refuses that token, gets another one and sends the same
 * request once more; what a second refusal means for the session, the refresh has found out.
 * @returns the body of the reply, or null where it has none
 * @throws InvalidInputError where `path` could lead elsewhere than to the API: the token would go there
 * @throws RequestError with the server's code, or with `network` where nothing answered
 */
export async function request(
  platform: Platform,
  apiUrl: string,
  tokens: RequestTokens,
  method: string,
  path: string,
  { body, signal }: RequestOptions = {},
): Promise<unknown> {
  if (!PATH.test(path)) throw new InvalidInputError('path', 'A path starts with one slash.');
  let token = await tokens.getToken();
  for (let replayed = false; ; replayed = true) {
    const answer = await send(platform, method, apiUrl + path, {
      body,
      signal,
      authorization: `Bearer ${token}`,
    });
    if (answer.kind === 'ok') return answer.body;
    if (answer.kind === 'failed') {
      throw new RequestError('network', `Network error: ${method} ${path}: nothing answered`, {
        retryable: true,
        cause: answer.cause,
      });
    }
    const { status } = answer;
    const retryable = mayPass(status);
    if (answer.kind === 'foreign') {
      const message = `Network error: ${method} ${path}: status ${status}, but not from the server`;
      throw new RequestError('network', message, { retryable, status });
    }
    const { code, requestId } = answer;
    if (!replayed && status === 401 && TOKEN_REFUSED.includes(code)) {
      token = await tokens.getToken({ refused: token });
      continue;
    }
    const message = textOf(answer.body.detail) ?? `${method} ${path} was refused: ${code}.`;
    throw new RequestError(code, message, { retryable, status, requestId });
  }
}
