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
  if (!isAddress(value, 'http')) {
    throw new TypeError('apiUrl has to be an http(s) address, such as https://chat.example.com.');
  }
  if (isOpen(value)) complain('apiUrl', logger, strict);
  return value.replace(/\/+$/, '');
}

/**
 * `wsUrl`, or where it is absent the one that the API's own address offers. Who speaks to the API in secret never
 * sends the same tokens through an open socket.
 */
export function readWsUrl(value: unknown, apiUrl: string, logger: Logger, strict: boolean): string {
  if (value === undefined) return `${apiUrl.replace(/^http/i, 'ws')}/connection/websocket`;
  if (!isAddress(value, 'ws')) {
    throw new TypeError('wsUrl has to be a ws(s) address, such as wss://chat.example.com/ws.');
  }
  if (isOpen(value)) complain('wsUrl', logger, strict || /^https:/i.test(apiUrl));
  return value;
}

function isAddress(value: unknown, scheme: string): value is string {
  return typeof value === 'string' && ADDRESS.exec(value)?.[1]?.toLowerCase() === scheme;
}

/** Whether tokens would travel unencrypted to a host that strangers may sit in front of. */
function isOpen(url: string): boolean {
  const host = /^(?:http|ws):\/\/(\[[^\]]*\]|[^:/]+)/i.exec(url)?.[1];
  return host !== undefined && !PRIVATE.test(host);
}

function complain(name: string, logger: Logger, refuse: boolean): void {
  const message = `${name} is not encrypted: everybody on the way can take the tokens. Use https and wss.`;
  if (refuse) throw new TypeError(message);
  logger.warn(message);
}
