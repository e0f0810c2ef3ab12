import { defineConfig } from 'vitest/config';

/** What the snippets and examples for React Native import, and only a device has. */
const here = (path: string): string => new URL(path, import.meta.url).pathname;
const native = {
  'react-native': here('packages/react-native/test/support/react-native.ts'),
  '@react-native-async-storage/async-storage': here('tests/snippets/frontend/support/async-storage.ts'),
  '@react-native-community/netinfo': here('tests/snippets/frontend/support/net-info.ts'),
  'expo-secure-store': here('tests/snippets/frontend/support/expo-secure-store.ts'),
};

// The sources are tested, not the build: the condition points every workspace package at its src/.
// Only what is not a matter of course: `import` named here would reach require() too, and break CommonJS.
const ssr = { resolve: { conditions: ['@chatsdk/source', 'node'] } };

export default defineConfig({
  ssr,
  test: {
    dangerouslyIgnoreUnhandledErrors: false,
    // Without a logger of the app's the SDK warns on the console.
    silent: 'passed-only',
    projects: [
      {
        ssr,
        test: {
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts', 'tests/snippets/frontend/specification.test.ts'],
          exclude: ['**/integration/**', '**/browser/**', '**/node_modules/**'],
        },
      },
      {
        ssr,
        resolve: { alias: native },
        test: {
          name: 'integration',
          include: [
            'packages/*/test/integration/**/*.test.ts',
            'tests/snippets/frontend/native.test.ts',
            'tests/guides/*.test.ts',
          ],
          exclude: ['tests/guides/web.test.ts', '**/node_modules/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'realtime',
          include: ['tests/realtime/js/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        ssr,
        test: {
          name: 'browser',
          include: [
            'packages/*/test/browser/**/*.test.ts',
            'tests/snippets/frontend/web.test.ts',
            'tests/guides/web.test.ts',
            'tests/examples/*.test.ts',
          ],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
