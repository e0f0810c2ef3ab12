import { defaultClientConditions, defineConfig } from 'vite';

// Served by the binary below /dev/, which embeds dist/. Workspace packages are bundled from their sources.
export default defineConfig({
  base: '/dev/',
  resolve: { conditions: ['@chatsdk/source', ...defaultClientConditions] },
  build: { target: 'es2022', modulePreload: { polyfill: false } },
  // `chatsdk dev` answers what the page asks for; `npx vite` only serves the page while it is being written.
  server: { proxy: { '/dev/token': 'http://localhost:5500', '/dev/config': 'http://localhost:5500' } },
});
