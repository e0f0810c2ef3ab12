/**
 * ChatSDK for Node backends.
 *
 * Start at {@link generateChatSDKToken} or {@link ChatSDKServer}; routes for Express are in
 * `@chatsdk/server/express`.
 */
export {
  ApiError,
  ChatSDKError,
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetails,
  InvalidInputError,
  isSessionEnded,
  NetworkError,
  SESSION_ENDED_CODES,
  type SessionEndedCode,
  TokenVerificationError,
} from './errors.ts';
export { generateChatSDKToken } from './generate.ts';
export type { ChatSDKServerOptions, Runtime } from './options.ts';
export { ChatSDKServer, createChatSDKServer, type RefreshOptions } from './server.ts';
export type {
  CallOptions,
  Introspection,
  Lifetime,
  Session,
  TokenReply,
  TokenRequest,
  User,
} from './types.ts';
export type { AccessToken } from './verify.ts';
