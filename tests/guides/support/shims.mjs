/**
 * Stands in for the programs that commands of the documents call and that a test cannot run, because they install
 * something or never end: looks whether what they name is there. `node shims.mjs <program> <word>…`
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const [program, ...words] = process.argv.slice(2);

function need(there, what) {
  if (there) return;
  process.stderr.write(`${program} ${words.join(' ')}: ${what}\n`);
  process.exit(1);
}

const json = (path) => JSON.parse(readFileSync(path, 'utf8'));
const here = (path) => existsSync(resolve(path));

/** The package.json of the workspace that is named, or of the directory that this is called in. */
function manifest(workspace) {
  if (workspace === undefined) return json(resolve('package.json'));
  const named = ['packages/core', 'packages/server', 'packages/react-native'].find(
    (path) => json(join(ROOT, path, 'package.json')).name === workspace,
  );
  const path = join(ROOT, named ?? workspace, 'package.json');
  need(existsSync(path), `there is no workspace ${workspace}`);
  return json(path);
}

/** The words behind each `flag`. */
const behind = (flag) => words.flatMap((word, at) => (words[at - 1] === flag ? [word] : []));

const script = (name, workspaces) => {
  for (const workspace of workspaces.length > 0 ? workspaces : [undefined]) {
    need(manifest(workspace).scripts?.[name] !== undefined, `there is no script ${name}`);
  }
};

const programs = {
  npm() {
    const [verb, ...rest] = words;
    const workspaces = behind('-w');
    if (verb === 'ci')
      return need(here('package-lock.json') || here('../../package-lock.json'), 'there is no lock file');
    if (verb === 'start') return script('start', workspaces);
    if (verb === 'run') return script(rest[0], workspaces);
    if (verb === 'pack') {
      for (const workspace of workspaces) manifest(workspace);
      for (const path of behind('--pack-destination')) need(here(path), `${path} is not there`);
      return need(workspaces.length > 0, 'nothing is packed');
    }
    need(verb === 'install', 'is not known here');
    need(rest.length > 0 || here('package.json'), 'there is no package.json');
    for (const name of rest) manifest(name);
  },
  npx() {
    need(words[0] === 'expo', 'is not known here');
    if (words[1] === 'start') return;
    need(words[1] === 'install' && words.length > 2, 'is not known here');
    const app = json(join(ROOT, 'examples/react-native-chat/package.json'));
    for (const name of words.slice(2)) need(name in app.dependencies, `the example has no ${name}`);
  },
  pip() {
    need(words[0] === 'install', 'is not known here');
    const files = [...behind('-r'), ...behind('-e')];
    for (const path of files) need(here(path.replace(/\[.*\]$/, '')), `${path} is not there`);
    const named = words.slice(1).filter((word) => !['-r', '-e'].includes(word) && !files.includes(word));
    for (const name of named) need(/^(chatsdk|uvicorn==[\d.]+)$/.test(name), `there is no package ${name}`);
    need(files.length + named.length > 0, 'nothing is installed');
  },
  make() {
    const targets = readFileSync(join(ROOT, 'Makefile'), 'utf8');
    need(words.length > 0, 'is not known here');
    for (const word of words) need(new RegExp(`^${word}:`, 'm').test(targets), `there is no target ${word}`);
  },
  node() {
    need(words.length > 0 && here(words[0]), 'the program is not there');
  },
  uvicorn() {
    const module = words[0]?.split(':')[0];
    need(here(`${module}.py`), `${module}.py is not there`);
  },
  go() {
    need(words[0] === 'run' && here(words[1]), 'the program is not there');
  },
};

need(program in programs, 'is a program that shims.mjs does not know');
programs[program]();
