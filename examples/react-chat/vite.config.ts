import { defineConfig } from 'vite';

// The page and your backend share an address, so that cookies and logins work as in production.
export default defineConfig({
  server: { proxy: { '/api': 'http://localhost:3000' } },
});
