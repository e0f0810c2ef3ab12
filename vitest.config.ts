import { defineConfig } from 'vitest/config';

// The sources are tested, not the build: the condition points every workspace package at its src/.
// Only what is not a matter of course: `import` named here would reach require() too, and break CommonJS.
const ssr = { resolve: { conditions: ['@chatsdk/source', 'node'] } };

export default defineConfig({
  ssr,
  test: {
    dangerouslyIgnoreUnhandledErrors: false,
    projects: [
      {
        ssr,
        test: {
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts'],
          exclude: ['**/integration/**', '**/browser/**', '**/node_modules/**'],
        },
      },
      {
        ssr,
        test: {
          name: 'integration',
          include: ['packages/*/test/integration/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        ssr,
        test: {
          name: 'browser',
          include: ['packages/*/test/browser/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
