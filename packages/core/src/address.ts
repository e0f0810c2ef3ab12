/** The addresses of a deployment. */
import type { Logger } from './logger.ts';

const HTTP = /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/i;
const WEBSOCKET = /^wss?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/i;
/** Hosts that no stranger sits in front of: this machine, and networks that are not routed. */
const PRIVATE =
  /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\]|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+|172\.(1[6-9]|2\d|3[01])\.\d+\.\d+|\[f[cd][0-9a-f:]*\]|.*\.local)$/i;

/** `apiUrl` without a slash at its end. Throws a `TypeError` where it is no http(s) address. */
export function readApiUrl(value: unknown, logger: Logger): string {
  if (typeof value !== 'string' || !HTTP.test(value)) {
    throw new TypeError('apiUrl has to be an http(s) address, such as https://chat.example.com.');
  }
  warnIfOpen('apiUrl', value, logger);
  return value.replace(/\/+$/, '');
}

/** `wsUrl`, or where it is absent the one that the API's own address offers. */
export function readWsUrl(value: unknown, apiUrl: string, logger: Logger): string {
  if (value === undefined) return `${apiUrl.replace(/^http/i, 'ws')}/connection/websocket`;
  if (typeof value !== 'string' || !WEBSOCKET.test(value)) {
    throw new TypeError('wsUrl has to be a ws(s) address, such as wss://chat.example.com/ws.');
  }
  warnIfOpen('wsUrl', value, logger);
  return value;
}

function warnIfOpen(name: string, url: string, logger: Logger): void {
  const host = /^(?:http|ws):\/\/(\[[^\]]*\]|[^:/]+)/i.exec(url)?.[1];
  if (host !== undefined && !PRIVATE.test(host)) {
    logger.warn(`${name} is not encrypted: everybody on the way can take the tokens. Use https and wss.`);
  }
}
