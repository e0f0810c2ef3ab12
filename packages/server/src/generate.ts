/** The one-liner: tokens with the address and the key of the environment. */
import { ChatSDKServer } from './server.ts';
import type { CallOptions, TokenReply, TokenRequest } from './types.ts';

let shared: { apiUrl: string | undefined; apiKey: string | undefined; server: ChatSDKServer } | null = null;

/**
 * Gets tokens for a person that you know to be who they say, with `CHATSDK_API_URL` and `CHATSDK_API_KEY` of
 * the environment. The same as `createChatSDKServer().generateToken(request)`.
 */
export async function generateChatSDKToken(
  request: TokenRequest,
  options: CallOptions = {},
): Promise<TokenReply> {
  const { CHATSDK_API_URL: apiUrl, CHATSDK_API_KEY: apiKey } = process.env;
  if (shared === null || shared.apiUrl !== apiUrl || shared.apiKey !== apiKey) {
    shared = { apiUrl, apiKey, server: new ChatSDKServer({ apiUrl, apiKey }) };
  }
  return await shared.server.generateToken(request, options);
}
