/** The adapters of AsyncStorage and of react-native-keychain. */
import type { StoredTokens } from '@chatsdk/core';
import { expect, it } from 'vitest';
import { asyncStorageAdapter } from '../src/storage/async-storage.ts';
import { type KeychainLike, keychainAdapter } from '../src/storage/keychain.ts';
import { FakeAsyncStorage } from './support/secure-store.ts';

const RECORD: StoredTokens = { v: 1, userID: 'ann', generation: 0, accessToken: 'a', refreshToken: 'r' };

it('AsyncStorage: sets, gets and removes', async () => {
  const native = new FakeAsyncStorage();
  const storage = asyncStorageAdapter(native, 'chatTokens');
  expect(await storage.get()).toBeNull();
  await storage.set(RECORD);
  expect(await asyncStorageAdapter(native, 'chatTokens').get()).toEqual(RECORD);
  await storage.remove();
  expect(native.items.size).toBe(0);
});

it('AsyncStorage: says that the text is corrupt', async () => {
  const native = new FakeAsyncStorage();
  await native.setItem('chatTokens', '{"accessToken":');
  await expect(asyncStorageAdapter(native, 'chatTokens').get()).rejects.toThrow(SyntaxError);
});

class FakeKeychain implements KeychainLike<string> {
  readonly ACCESSIBLE = { AFTER_FIRST_UNLOCK: 'AccessibleAfterFirstUnlock' };
  readonly items = new Map<string, { password: string; accessible: string }>();
  works = true;

  async setGenericPassword(
    _name: string,
    password: string,
    options: { service: string; accessible: string },
  ) {
    if (!this.works) return false;
    this.items.set(options.service, { password, accessible: options.accessible });
    return { service: options.service };
  }

  async getGenericPassword({ service }: { service: string }) {
    return this.items.get(service) ?? (false as const);
  }

  async resetGenericPassword({ service }: { service: string }) {
    return this.works && (this.items.delete(service) || true);
  }
}

it('Keychain: sets, gets and removes', async () => {
  const native = new FakeKeychain();
  const storage = keychainAdapter(native, 'chat');
  expect(await storage.get()).toBeNull();
  await storage.set(RECORD);
  expect(native.items.get('chat')?.accessible).toBe('AccessibleAfterFirstUnlock');
  expect(await keychainAdapter(native, 'chat').get()).toEqual(RECORD);
  await storage.remove();
  expect(await storage.get()).toBeNull();
});

it('Keychain: what it does not take is a failure', async () => {
  const native = new FakeKeychain();
  native.works = false;
  const storage = keychainAdapter(native, 'chat');
  await expect(storage.set(RECORD)).rejects.toThrow('did not take');
  await expect(storage.remove()).rejects.toThrow('did not remove');
});
