/** The client SDK on the cookie routes: a page, a backend with Express, and the real server, in real time. */
import { ChatSDK as Client, fetchTokens, type HostRefresh, type Tokens } from '@chatsdk/core';
import express from 'express';
import { afterAll, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { cookieRoutes } from '../../src/express.ts';
import { createChatSDKServer } from '../../src/index.ts';
import { ChatSDK } from '../support/chatsdk.ts';
import { listen } from '../support/listen.ts';
import { Weather } from '../support/weather.ts';

let chatsdk: ChatSDK;
let weather: Weather;
let close: () => Promise<void>;
let url: string;

beforeAll(async () => {
  chatsdk = await ChatSDK.start();
  weather = await Weather.before(() => chatsdk.apiUrl);
  const chat = createChatSDKServer({ apiUrl: weather.url, apiKey: chatsdk.apiKey, maxRetries: 0 });
  const routes = cookieRoutes({
    chat,
    user: () => ({ userId: 'ann', accessTokenExpiry: '2s' }),
    onError: () => {},
  });
  const app = express()
    .post('/token', routes.issue)
    .post('/refresh', routes.refresh)
    .post('/logout', routes.logout);
  ({ url, close } = await listen(app));
});
afterAll(async () => {
  await close?.();
  await weather?.close();
  await chatsdk?.dispose();
});

it('stays signed in past the life of many tokens and through an outage, without ever seeing a refresh token', async () => {
  let jar = '';
  const post = (path: string, request?: HostRefresh): Promise<Tokens> =>
    fetchTokens(url + path, {
      ...request,
      // As a browser would.
      fetch: async (to, init) => {
        const response = await fetch(to, { ...init, headers: { ...init.headers, cookie: jar } });
        const cookie = response.headers.getSetCookie()[0];
        if (cookie !== undefined) jar = cookie.split(';')[0] ?? '';
        return response;
      },
    });
  const asked: number[] = [];
  const seen: Tokens[] = [];
  const ended: string[] = [];
  let told: () => void = () => {};
  const refreshes = async (count: number): Promise<void> => {
    while (seen.length < count) {
      await new Promise<void>((resume) => {
        told = resume;
      });
    }
  };
  const sdk = new Client({
    apiUrl: chatsdk.apiUrl,
    wsUrl: chatsdk.realtimeUrl,
    refreshTokens: (request) => {
      asked.push(request.sentAt);
      return post('/refresh', request);
    },
    onTokenRefresh: (tokens) => {
      seen.push(tokens);
      told();
    },
    onRefreshError: (error) => {
      if (!error.message.includes('Network')) ended.push(error.message);
    },
    platform: { webSocket: WebSocket },
  });
  const { accessToken, refreshToken, expiresAt } = await post('/token');
  expect(refreshToken).toBeUndefined();
  await sdk.connect({ userID: 'ann', token: accessToken, expiresAt });
  expect(sdk.connectivity).toBe('connected');
  await refreshes(2);
  const refreshed = weather.seen.filter(({ path }) => path === '/auth/refresh');
  expect(refreshed.map(({ body }) => JSON.parse(body).sentAt)).toEqual(asked.slice(0, refreshed.length));

  const before = jar;
  weather.next('cut', { status: 401, body: '<h1>401</h1>' });
  await refreshes(4);
  expect(jar).not.toBe(before);
  expect(seen.every((tokens) => tokens.refreshToken === '')).toBe(true);
  expect(ended).toEqual([]);
  await sdk.disconnect();
});
