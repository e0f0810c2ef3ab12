/** Stands in for `@react-native-community/netinfo`, which needs a device. */
import { FakeNetInfo } from '../../../../packages/react-native/test/support/net-info.ts';

const netInfo = new FakeNetInfo();

/** Lets the tests that drive a page change the network. */
Object.assign(globalThis, { netInfo });

export default netInfo;
