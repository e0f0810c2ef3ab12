/** Puts one program of the guides into the page: `?program=react/App.tsx`. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

/** A module of a guide. Tests call what it exports. */
type Program = Record<string, unknown>;

const programs: Record<string, () => Promise<Program>> = {
  'authentication/connect.ts': () => import('@guides/authentication/connect.ts'),
  'storage/resume.ts': () => import('@guides/storage/resume.ts'),
  'storage/copy.ts': () => import('@guides/storage/copy.ts'),
  'storage/indexed-db.ts': () => import('@guides/storage/indexed-db.ts'),
  'storage/cookie-page.ts': () => import('@guides/storage/cookie-page.ts'),
  // With its modules `react/chat.tsx` and `react/sessions.ts`, mounted twice as StrictMode does.
  'react/App.tsx': async () => {
    const [{ App }, chat, sessions] = await Promise.all([
      import('@guides/react/App.tsx'),
      import('@guides/react/chat.tsx'),
      import('@guides/react/sessions.ts'),
    ]);
    const element = document.getElementById('root');
    if (element === null) throw new Error('The page has no root element.');
    createRoot(element).render(
      <StrictMode>
        <App />
      </StrictMode>,
    );
    return { ...chat, ...sessions };
  },
  // The client of the tests, for programs that are given one.
  core: () => import('@chatsdk/core'),
};

const name = new URLSearchParams(location.search).get('program') ?? '';
const [program, core] = await Promise.all([programs[name]?.(), programs.core?.()]);
Object.assign(globalThis, { program, core });
