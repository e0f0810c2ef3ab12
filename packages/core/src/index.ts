/**
 * ChatSDK for the web and everything else that runs JavaScript.
 *
 * Where to start reading: `client.ts` is the way in; `tokens/manager.ts` keeps the user signed in;
 * `realtime/connection.ts` is the socket; `platform/` is all that is known of the place this runs in.
 */
export {
  ChatSDK,
  type ChatSDKEvents,
  type ChatSDKOptions,
  type DebugReport,
  type LogoutOptions,
} from './client.ts';
export {
  ChatError,
  type ClientCode,
  DisconnectedError,
  type ErrorCode,
  type ErrorDetails,
  FATAL_CODES,
  type FatalCode,
  HostSessionEndedError,
  InvalidInputError,
  NotConnectedError,
  RefreshError,
  type RefreshErrorKind,
  RequestError,
  StorageError,
  UserMismatchError,
} from './errors.ts';
export { type FetchTokensOptions, fetchTokens } from './fetch-tokens.ts';
export type { Logger } from './logger.ts';
export type {
  Channel,
  Clock,
  Fetch,
  HttpReply,
  Lifecycle,
  Locks,
  Network,
  Platform,
  Timers,
} from './platform/platform.ts';
export { noLocks, sharedMap, webPlatform, webTimers } from './platform/web.ts';
export type { ConnectionState } from './realtime/connection.ts';
export type { RequestOptions } from './rest.ts';
export type {
  AuthReport,
  EndReason,
  FatalReason,
  HostRefresh,
  LastError,
  RefreshTokens,
  TokenEvents,
  TokenManagerOptions,
  TokenState,
} from './tokens/events.ts';
export type { ConnectInput } from './tokens/input.ts';
export {
  localStorageAdapter,
  memoryStorage,
  type StoredTokens,
  sessionStorageAdapter,
  type TokenStorage,
} from './tokens/storage.ts';
export { TokenManager } from './tokens/token-manager.ts';
export type { Tokens } from './tokens/types.ts';
export type { User } from './user.ts';
