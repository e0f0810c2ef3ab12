/**
 * Everything that this package throws or reports. Decide by `code`, or by the class; `message` is for people.
 * No error carries a token.
 */
import { redact, redactCause } from './redact.ts';

/** Codes of the server that end a session. Whatever else a refresh is answered with, the session goes on. */
export const FATAL_CODES = [
  'refresh_token_invalid',
  'refresh_token_expired',
  'refresh_token_reused',
  'session_revoked',
  'user_banned',
] as const;

/** One of {@link FATAL_CODES}. */
export type FatalCode = (typeof FATAL_CODES)[number];

/** Codes that this package makes itself. */
export type ClientCode =
  | 'invalid_input'
  | 'user_mismatch'
  | 'not_connected'
  | 'disconnected'
  | 'storage_failed'
  | 'network'
  | 'protocol'
  | 'configuration'
  | 'refresh_token_missing'
  | 'host_session_ended';

/** One of ours, one that ends a session, or another of the server's codes. */
export type ErrorCode = ClientCode | FatalCode | (string & {});

/** What every error of this package has beside its message. */
export interface ErrorDetails {
  /** Whether the same call may succeed later without a change. */
  readonly retryable?: boolean;
  /** HTTP status, where one was received. */
  readonly status?: number | null;
  /** The server's id of the request, to quote to its operator. */
  readonly requestId?: string | null;
  /** What led to it. */
  readonly cause?: unknown;
}

/**
 * The ancestor of every error of this package. Members are declared, and come to be in the constructors: a field that is
 * defined would be written twice.
 */
export class ChatError extends Error {
  override name = 'ChatError';
  /** What went wrong, by a name that never changes: one of ours, or one of the server's. */
  declare readonly code: ErrorCode;
  /** Whether the same call may succeed later without a change. */
  declare readonly retryable: boolean;
  /** HTTP status, or null where none was received. */
  declare readonly status: number | null;
  /** The server's id of the request, or null. */
  declare readonly requestId: string | null;

  constructor(
    code: ErrorCode,
    message: string,
    { retryable = false, status = null, requestId = null, cause }: ErrorDetails = {},
  ) {
    super(redact(message), cause === undefined ? undefined : { cause: redactCause(cause) });
    this.code = code;
    this.retryable = retryable;
    this.status = status;
    this.requestId = requestId;
  }
}

/** A call with something that cannot work; nothing was changed and nothing was sent. */
export class InvalidInputError extends ChatError {
  override name = 'InvalidInputError';
  /** The argument that is at fault. */
  declare readonly field: string;

  constructor(field: string, message: string) {
    super('invalid_input', message);
    this.field = field;
  }
}

/** The token speaks for another user than `userID` names. */
export class UserMismatchError extends ChatError {
  override name = 'UserMismatchError';

  constructor() {
    super('user_mismatch', 'The token was made for another user than userID names.');
  }
}

/** There is no current user: `connect` was not called yet, or `disconnect` was. */
export class NotConnectedError extends ChatError {
  override name = 'NotConnectedError';

  constructor() {
    super('not_connected', 'There is no current user: call connect() first.');
  }
}

/** `disconnect`, `logout` or a connect as somebody else came in between. */
export class DisconnectedError extends ChatError {
  override name = 'DisconnectedError';

  constructor() {
    super('disconnected', 'This app has disconnected.');
  }
}

/**
 * Your backend says that nobody is signed in there: throw it out of `refreshTokens`, and the session ends. Whatever
 * else `refreshTokens` throws is taken for a failure that passes.
 */
export class HostSessionEndedError extends ChatError {
  override name = 'HostSessionEndedError';

  constructor(message = 'Your backend says that nobody is signed in.', details: ErrorDetails = {}) {
    super('host_session_ended', message, details);
  }
}

/** A request to the API failed. Where nothing answered, the message starts with `Network`. */
export class RequestError extends ChatError {
  override name = 'RequestError';
}

/** The token storage failed. The session goes on. */
export class StorageError extends ChatError {
  override name = 'StorageError';

  constructor(what: string, cause: unknown) {
    super('storage_failed', `Token storage: ${what}.`, {
      retryable: true,
      cause,
    });
  }
}

/** What kind of trouble a refresh is in. Only `fatal` means that the user has to sign in again. */
export type RefreshErrorKind = 'fatal' | 'network' | 'protocol' | 'configuration' | 'storage';

/**
 * Why the session could not be refreshed. With kind `fatal` it has ended; with any other kind the message
 * starts with `Network`, the session is kept and refreshing goes on by itself.
 */
export class RefreshError extends ChatError {
  override name = 'RefreshError';
  /** `fatal` when the session has ended, otherwise what stands in the way. */
  declare readonly kind: RefreshErrorKind;
  /** How many refreshes in a row have failed, this one included. */
  declare readonly attempt: number;

  constructor(
    kind: RefreshErrorKind,
    code: ErrorCode,
    message: string,
    attempt: number,
    details?: ErrorDetails,
  ) {
    super(code, message, { ...details, retryable: kind !== 'fatal' });
    this.kind = kind;
    this.attempt = attempt;
  }
}
