/** Stands in for `expo-secure-store`, which needs a device. */
import { FakeSecureStore } from '../../../../packages/react-native/test/support/secure-store.ts';

const store = new FakeSecureStore();

export const AFTER_FIRST_UNLOCK = store.AFTER_FIRST_UNLOCK;
export const getItemAsync = (key: string, options: object = {}) => store.getItemAsync(key, options);
export const setItemAsync = (key: string, value: string, options: object = {}) =>
  store.setItemAsync(key, value, options);
export const deleteItemAsync = (key: string, options: object = {}) => store.deleteItemAsync(key, options);
