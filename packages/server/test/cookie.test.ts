/** The cookie, to the letter. */
import { expect, it } from 'vitest';
import { RefreshCookie } from '../src/cookie.ts';
import type { TokenReply } from '../src/index.ts';

const reply = {
  refreshToken: 'eyJh.e30.c2ln',
  refreshExpiresAt: 1_704_835_200_000 + 604_800_000,
  serverTime: 1_704_835_200_000,
} as TokenReply;

it('is what the specification sets, and lives as long as its token', () => {
  expect(new RefreshCookie().keep(reply)).toBe(
    'chatRefreshToken=eyJh.e30.c2ln; Max-Age=604800; Path=/; HttpOnly; SameSite=Strict; Secure',
  );
});

it('is removed with the attributes it was set with', () => {
  const cookie = new RefreshCookie({
    name: '__Secure-chat',
    path: '/api/chat',
    domain: 'example.com',
    sameSite: 'lax',
  });
  expect(cookie.remove()).toBe(
    '__Secure-chat=; Max-Age=0; Path=/api/chat; HttpOnly; SameSite=Lax; Domain=example.com; Secure',
  );
});

it.each([
  [undefined, []],
  ['', []],
  ['chatRefreshToken=', []],
  ['a=1; chatRefreshToken=x.y.z; b=2', ['x.y.z']],
  [
    'xchatRefreshToken=no; chatRefreshToken=near; chatRefreshToken=far; chatRefreshToken=near',
    ['near', 'far'],
  ],
  ['chatRefreshToken', []],
  [`chatRefreshToken=${'x'.repeat(16_385)}`, []],
  [Array.from({ length: 20 }, (_, count) => `chatRefreshToken=${count}`).join(';'), [...'01234567']],
])('reads %o', (header, expected) => {
  expect(new RefreshCookie().read(header)).toEqual(expected);
});

it('removes those of other paths and of the host', () => {
  expect(new RefreshCookie().removeOthers('/api/chat/token?x=/y')).toEqual(
    ['/api', '/api/chat', '/api/chat/token'].map(
      (path) => `chatRefreshToken=; Max-Age=0; Path=${path}; HttpOnly; SameSite=Strict; Secure`,
    ),
  );
  const wide = new RefreshCookie({ path: '/api', domain: 'example.com', sameSite: 'lax' });
  expect(wide.removeOthers('/api')).toEqual([
    'chatRefreshToken=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Domain=example.com; Secure',
    'chatRefreshToken=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure',
    'chatRefreshToken=; Max-Age=0; Path=/api; HttpOnly; SameSite=Lax; Secure',
  ]);
  expect(new RefreshCookie().removeOthers('/a;b\r\n/c')).toEqual([]);
});

it.each([
  { name: 'a b' },
  { path: 'api' },
  { path: '/; Domain=evil.example' },
  { domain: 'a;b' },
  { path: '/ä' },
  { path: '/\0' },
  { name: '__Host-chat', path: '/api' },
  { name: '__host-chat', domain: 'example.com' },
  { name: '__Host-chat', secure: false },
  { name: '__Secure-chat', secure: false },
  { sameSite: 'none', secure: false } as const,
])('refuses %o', (options) => {
  expect(() => new RefreshCookie(options)).toThrow(/cookie|path|domain|secure/i);
});
