/** The client of `@chatsdk/core`, on the platform of React Native. */
import { ChatSDK as CoreChatSDK, type ChatSDKOptions as CoreChatSDKOptions } from '@chatsdk/core';
import { AppState } from 'react-native';
import { type NetInfoLike, reactNativePlatform } from './platform.ts';

/** What `new ChatSDK` takes. */
export interface ChatSDKOptions extends CoreChatSDKOptions {
  /**
   * The default export of `@react-native-community/netinfo`, for apps that have it: the client then comes back
   * as soon as the device is online, and not only at its next try.
   */
  netInfo?: NetInfoLike | undefined;
}

/**
 * A chat client for one user at a time. The constructor starts nothing. Tokens are kept in memory unless
 * `storage` names a place: see {@link secureStoreAdapter}.
 */
export class ChatSDK extends CoreChatSDK {
  constructor(options: ChatSDKOptions) {
    const { netInfo, platform, ...rest } = options;
    super({ ...rest, platform: { ...reactNativePlatform({ appState: AppState, netInfo }), ...platform } });
  }
}
