/**
 * Everything that this package throws. Decide by `code`, or by the class; `message` is for people. No error
 * carries an API key or a token.
 */
import { redact, redactCause } from './redact.ts';

/** The codes of the server's problem documents. The list may grow: treat a code that you do not know by its class. */
export const ERROR_CODES = [
  'invalid_request',
  'invalid_json',
  'invalid_field',
  'api_key_missing',
  'api_key_invalid',
  'api_key_revoked',
  'api_key_expired',
  'token_missing',
  'token_expired',
  'token_invalid',
  'token_revoked',
  'refresh_token_invalid',
  'refresh_token_expired',
  'refresh_token_reused',
  'session_revoked',
  'operator_token_missing',
  'operator_token_invalid',
  'api_key_scope',
  'browser_forbidden',
  'user_banned',
  'app_disabled',
  'origin_forbidden',
  'not_found',
  'session_not_found',
  'app_not_found',
  'connection_not_found',
  'method_not_allowed',
  'request_stale',
  'request_timeout',
  'payload_too_large',
  'unsupported_media_type',
  'upgrade_required',
  'rate_limited',
  'internal',
  'unavailable',
] as const;

/** One of {@link ERROR_CODES}. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** The codes that end a session: the only ones on which to ask somebody to sign in again. */
export const SESSION_ENDED_CODES = [
  'refresh_token_invalid',
  'refresh_token_expired',
  'refresh_token_reused',
  'session_revoked',
  'user_banned',
] as const satisfies readonly ErrorCode[];

/** One of {@link SESSION_ENDED_CODES}. */
export type SessionEndedCode = (typeof SESSION_ENDED_CODES)[number];

/** What an error may have beside its code and message. */
export interface ErrorDetails {
  readonly retryable?: boolean;
  readonly httpStatus?: number | null;
  readonly requestId?: string | null;
  readonly retryAfterMs?: number | null;
  readonly field?: string | null;
  readonly hint?: string | null;
  readonly serverTime?: number | null;
  readonly cause?: unknown;
}

/** The ancestor of every error of this package. */
export class ChatSDKError extends Error {
  override name = 'ChatSDKError';
  /** What went wrong, by a name that never changes. */
  readonly code: string;
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean;
  /**
   * The status that ChatSDK answered, or null where it did not. Not called `status`, because Express would
   * answer with it: a 401 about your API key is not a 401 for your user.
   */
  readonly httpStatus: number | null;
  /** The server's id of the request, to quote to its operator, or null. */
  readonly requestId: string | null;
  /** How long to wait before the same call, in milliseconds, or null where nothing was said. */
  readonly retryAfterMs: number | null;
  /** The member, parameter or option that is at fault, or null. */
  readonly field: string | null;
  /** What can be done about it, or null. */
  readonly hint: string | null;
  /** The server's clock, in milliseconds since the Unix epoch; with `request_stale` alone. */
  readonly serverTime: number | null;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(redact(message), details.cause === undefined ? undefined : { cause: redactCause(details.cause) });
    this.code = code;
    this.retryable = details.retryable ?? false;
    this.httpStatus = details.httpStatus ?? null;
    this.requestId = details.requestId ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
    this.field = details.field ?? null;
    this.hint = details.hint ?? null;
    this.serverTime = details.serverTime ?? null;
  }
}

/** ChatSDK refused: `code` is one of {@link ERROR_CODES}. */
export class ApiError extends ChatSDKError {
  override name = 'ApiError';
  declare readonly code: ErrorCode;
  declare readonly httpStatus: number;
}

/**
 * ChatSDK did not answer in time (`timeout`), could not be reached (`network`), or something else answered in
 * its place (`foreign_answer`): a proxy, a wrong `apiUrl`. The message starts with `Network`.
 */
export class NetworkError extends ChatSDKError {
  override name = 'NetworkError';
  declare readonly code: 'network' | 'timeout' | 'foreign_answer';
}

/** An argument or an option cannot work; nothing was sent. `field` names it. */
export class InvalidInputError extends ChatSDKError {
  override name = 'InvalidInputError';
  declare readonly code: 'invalid_input';

  constructor(field: string, message: string) {
    super('invalid_input', message, { field });
  }
}

/** The access token does not verify. Only `token_expired` is worth a refresh. */
export class TokenVerificationError extends ChatSDKError {
  override name = 'TokenVerificationError';
  declare readonly code: 'token_expired' | 'token_invalid';
}

/** Whether `error` says that the session is over, by the word of ChatSDK itself. */
export function isSessionEnded(error: unknown): error is ApiError & { readonly code: SessionEndedCode } {
  return (
    error instanceof ApiError &&
    (error.httpStatus === 401 || error.httpStatus === 403) &&
    (SESSION_ENDED_CODES as readonly string[]).includes(error.code)
  );
}
