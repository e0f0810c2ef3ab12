/** The addresses of a deployment. */
import type { Logger } from './logger.ts';

const ADDRESS = /^(http|ws)s?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/i;
/** Hosts that no stranger sits in front of: this machine, and networks that are not routed. */
const PRIVATE =
  /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\]|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+|172\.(1[6-9]|2\d|3[01])\.\d+\.\d+|\[f[cd][0-9a-f:]*\]|.*\.local)$/i;

/**
 * `apiUrl` without a slash at its end. Throws a `TypeError` where it is no http(s) address, and where it is open to
 * everybody on the way and `strict` forbids that; otherwise warns of it.
 */
export function readApiUrl(value: unknown, logger: Logger, strict: boolean): string {
  return readAddress('apiUrl', value, 'http', 's://chat.example.com', logger, strict).replace(/\/+$/, '');
}

/**
 * `wsUrl`, or where it is absent the one that the API's own address offers. Who speaks to the API in secret never
 * sends the same tokens through an open socket.
 */
export function readWsUrl(value: unknown, apiUrl: string, logger: Logger, strict: boolean): string {
  if (value === undefined) return `${apiUrl.replace(/^http/i, 'ws')}/connection/websocket`;
  const secret = strict || /^https:/i.test(apiUrl);
  return readAddress('wsUrl', value, 'ws', 's://chat.example.com/ws', logger, secret);
}

/** @param rest what follows `scheme` in the example of what is expected */
function readAddress(
  name: string,
  value: unknown,
  scheme: string,
  rest: string,
  logger: Logger,
  secret: boolean,
): string {
  if (typeof value !== 'string' || ADDRESS.exec(value)?.[1]?.toLowerCase() !== scheme) {
    throw new TypeError(
      `${name} has to be a${scheme === 'ws' ? '' : 'n'} ${scheme}(s) address, such as ${scheme}${rest}.`,
    );
  }
  if (isOpen(value)) {
    const message = `${name} is not encrypted: everybody on the way can take the tokens. Use https and wss.`;
    if (secret) throw new TypeError(message);
    logger.warn(message);
  }
  return value;
}

/** Whether tokens would travel unencrypted to a host that strangers may sit in front of. */
function isOpen(url: string): boolean {
  const host = /^(?:http|ws):\/\/(\[[^\]]*\]|[^:/]+)/i.exec(url)?.[1];
  return host !== undefined && !PRIVATE.test(host);
}
