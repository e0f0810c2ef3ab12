/**
 * ChatSDK for React Native and Expo: everything of `@chatsdk/core`, with a {@link ChatSDK} that knows the place.
 *
 * Where to start reading: `client.ts` is the way in; `platform.ts` is what differs from the web; `storage/`
 * holds the adapters. Native modules are passed in and never imported, `react-native` itself excepted: Metro
 * resolves each import when it bundles, so that an import of a module which the app has not installed would
 * break the app, used or not.
 */
export * from '@chatsdk/core';
export { ChatSDK, type ChatSDKOptions } from './client.ts';
export {
  type AppStateLike,
  type NetInfoLike,
  type ReactNativeModules,
  reactNativePlatform,
} from './platform.ts';
export { type AsyncStorageLike, asyncStorageAdapter } from './storage/async-storage.ts';
export { type KeychainLike, keychainAdapter } from './storage/keychain.ts';
export { type SecureStoreLike, type SecureStoreOptions, secureStoreAdapter } from './storage/secure-store.ts';
