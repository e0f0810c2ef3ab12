/** Stands in for `@react-native-async-storage/async-storage`, which needs a device. */
import { FakeAsyncStorage } from '../../../../packages/react-native/test/support/secure-store.ts';

export default new FakeAsyncStorage();
