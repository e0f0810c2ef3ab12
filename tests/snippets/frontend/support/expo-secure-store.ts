/** Stands in for `expo-secure-store`, which needs a device. In a page it outlives a reload, as there a restart. */
import { FakeSecureStore } from '../../../../packages/react-native/test/support/secure-store.ts';

const store = new FakeSecureStore();
const page = 'document' in globalThis ? sessionStorage : null;
for (const [key, value] of JSON.parse(page?.getItem('secure-store') ?? '[]')) store.items.set(key, value);

const keep = (): void => page?.setItem('secure-store', JSON.stringify([...store.items]));

export const AFTER_FIRST_UNLOCK = store.AFTER_FIRST_UNLOCK;
export const getItemAsync = (key: string, options: object = {}) => store.getItemAsync(key, options);
export const setItemAsync = (key: string, value: string, options: object = {}) =>
  store.setItemAsync(key, value, options).then(keep);
export const deleteItemAsync = (key: string, options: object = {}) =>
  store.deleteItemAsync(key, options).then(keep);
