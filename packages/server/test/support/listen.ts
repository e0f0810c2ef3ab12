/** Serves an app on a free port. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Where it listens, and what ends it. */
export interface Listening {
  readonly url: string;
  readonly close: () => Promise<void>;
}

export async function listen(app: { listen(port: number, host: string): Server }): Promise<Listening> {
  const server = app.listen(0, '127.0.0.1');
  await new Promise((ready) => server.once('listening', ready));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}
