/** Tokens in `react-native-keychain`, for apps without Expo. Its items have no limit of size that matters here. */
import type { TokenStorage } from '@chatsdk/core';

/** The part of `react-native-keychain` that is used. */
export interface KeychainLike<Accessible> {
  readonly ACCESSIBLE: { readonly AFTER_FIRST_UNLOCK: Accessible };
  /** Puts a password there. */
  setGenericPassword(
    username: string,
    password: string,
    options: { service: string; accessible: Accessible },
  ): Promise<unknown>;
  /** What stands there, or false. */
  getGenericPassword(options: { service: string }): Promise<false | { readonly password: string }>;
  /** Takes it away. */
  resetGenericPassword(options: { service: string }): Promise<unknown>;
}

/**
 * Keeps it in the Keychain of iOS or behind the Keystore of Android, as the password of `service`. On iOS the
 * library replaces an item by deleting it first: an app that is killed right between the two has none left,
 * and asks your backend for tokens at its next start.
 * @param keychain `import * as Keychain from 'react-native-keychain'`
 */
export function keychainAdapter<Accessible>(
  keychain: KeychainLike<Accessible>,
  service: string,
): TokenStorage {
  return {
    get: async () => {
      const found = await keychain.getGenericPassword({ service });
      return found === false ? null : JSON.parse(found.password);
    },
    set: async (value) => {
      // Readable while the device is locked: an app that is woken in the background needs its tokens.
      const options = { service, accessible: keychain.ACCESSIBLE.AFTER_FIRST_UNLOCK };
      const saved = await keychain.setGenericPassword('chatsdk', JSON.stringify(value), options);
      if (saved === false) throw new Error('the keychain did not take the tokens');
    },
    remove: async () => {
      if ((await keychain.resetGenericPassword({ service })) === false) {
        throw new Error('the keychain did not remove the tokens');
      }
    },
  };
}
