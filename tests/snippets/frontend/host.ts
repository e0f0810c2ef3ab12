/** What the specification's snippets take for granted of the app around them. */
import type { Tokens } from '@chatsdk/core';

/** Shows your backend who is logged in. */
export const yourAuthToken = 'auth-token-of-ann';

/** The person who is logged in. */
export const user = { id: 'user-123' };

/** What the app was made to do, for the tests to see. */
export const happened: string[] = [];

export const router = {
  push(path: string): void {
    happened.push(`router ${path}`);
  },
};

export function redirectToLogin(): void {
  happened.push('login');
}

export function showOfflineBanner(): void {
  happened.push('offline banner');
}

export function saveTokensSecurely(tokens: Tokens): void {
  happened.push(`saved ${tokens.expiresAt}`);
}
