/** Bundles a page the way `vite build` does, into memory. */
import { type AliasOptions, build, defaultClientConditions } from 'vite';

/** Files by their path on the server, which begins with a slash. */
export type Files = ReadonlyMap<string, string | Uint8Array>;

/** Bundles the page whose `index.html` and, where there is one, `vite.config.ts` stand in `root`. */
export async function bundlePage(
  root: string,
  alias: AliasOptions = {},
  define: Record<string, string> = {},
): Promise<Files> {
  // As on the command line. Vitest says `test` here, of which vite makes half a development build.
  const { NODE_ENV } = process.env;
  process.env.NODE_ENV = 'production';
  const result = await build({
    root,
    logLevel: 'error',
    define,
    // The sources of this repository, and not what somebody built a while ago.
    resolve: { alias, conditions: ['@chatsdk/source', ...defaultClientConditions] },
    build: { write: false, minify: false },
  }).finally(() => {
    process.env.NODE_ENV = NODE_ENV;
  });
  const [made] = Array.isArray(result) ? result : [result];
  if (made === undefined || !('output' in made)) throw new Error(`nothing was built of ${root}`);
  return new Map(
    made.output.map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source]),
  );
}
