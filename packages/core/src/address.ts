/** The addresses of a deployment. */
import type { Logger } from './logger.ts';
import { textOf } from './values.ts';

/** The protocol, an `s` where it is encrypted, and the host. */
const ADDRESS = /^(http|ws)(s?):\/\/(\[[^\]]*\]|[^\s/?#@:]+)[^\s/?#@]*(\/[^\s?#]*)?$/i;
/** Hosts that no stranger sits in front of: this machine, and networks that are not routed. */
const PRIVATE =
  /^((.*\.)?localhost|.*\.local|(10|127)(\.\d+){3}|(192\.168|172\.(1[6-9]|2\d|3[01]))(\.\d+){2}|\[(::1|f[cd][0-9a-f:]*)\])$/i;

/**
 * `apiUrl` without a slash at its end. Throws a `TypeError` where it is no http(s) address, and where it is open to
 * everybody on the way and `strict` forbids that; otherwise warns of it.
 */
export function readApiUrl(value: unknown, logger: Logger, strict: boolean): string {
  const expected = 'an http(s) address, such as https://chat.example.com';
  return readAddress('apiUrl', value, 'http', expected, logger, strict).replace(/\/+$/, '');
}

/**
 * `wsUrl`, or where it is absent the one that the API's own address offers. Who speaks to the API in secret never
 * sends the same tokens through an open socket.
 */
export function readWsUrl(value: unknown, apiUrl: string, logger: Logger, strict: boolean): string {
  if (value === undefined) return `${apiUrl.replace(/^http/i, 'ws')}/connection/websocket`;
  const secret = strict || /^https:/i.test(apiUrl);
  const expected = 'a ws(s) address, such as wss://chat.example.com/ws';
  return readAddress('wsUrl', value, 'ws', expected, logger, secret);
}

function readAddress(
  name: string,
  value: unknown,
  scheme: string,
  expected: string,
  logger: Logger,
  secret: boolean,
): string {
  const address = textOf(value) ?? '';
  const [, protocol, encrypted, host = ''] = ADDRESS.exec(address) ?? [];
  if (protocol?.toLowerCase() !== scheme) {
    throw new TypeError(`${name} has to be ${expected}.`);
  }
  if (!encrypted && !PRIVATE.test(host)) {
    const message = `${name} is not encrypted: use https and wss.`;
    if (secret) throw new TypeError(message);
    logger.warn(message);
  }
  return address;
}
