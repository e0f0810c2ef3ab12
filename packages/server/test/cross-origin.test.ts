/** Which requests the cookie routes answer. */
import { expect, it } from 'vitest';
import { isOwnRequest } from '../src/cross-origin.ts';

const host = 'api.example.com';
const allowed = new Set(['https://app.example.com']);

it.each([
  [true, 'a page of this origin', { 'sec-fetch-site': 'same-origin', origin: 'https://api.example.com' }],
  [true, 'typed by hand', { 'sec-fetch-site': 'none' }],
  [true, 'no browser', {}],
  [true, 'an origin that is allowed', { 'sec-fetch-site': 'same-site', origin: 'https://app.example.com' }],
  [true, 'an old browser, this origin', { origin: 'https://api.example.com' }],
  [false, 'another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
  [false, 'a sibling', { 'sec-fetch-site': 'same-site', origin: 'https://blog.example.com' }],
  [false, 'another site without its origin', { 'sec-fetch-site': 'cross-site' }],
  [false, 'an old browser, another site', { origin: 'https://evil.example' }],
  [false, 'a sandboxed frame', { origin: 'null' }],
  [false, 'an allowed host on http', { origin: 'http://app.example.com' }],
])('%s: %s', (expected, _, headers) => {
  expect(isOwnRequest({ host, ...headers }, allowed)).toBe(expected);
});
