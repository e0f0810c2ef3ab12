/** Stands in for `@react-native-async-storage/async-storage`: the storage of the page, as the real one has it on the web. */
import { FakeAsyncStorage } from '../../../../packages/react-native/test/support/secure-store.ts';

const storage = new FakeAsyncStorage();
if ('document' in globalThis) {
  storage.getItem = async (key) => sessionStorage.getItem(key);
  storage.setItem = async (key, value) => sessionStorage.setItem(key, value);
  storage.removeItem = async (key) => sessionStorage.removeItem(key);
}

export default storage;
