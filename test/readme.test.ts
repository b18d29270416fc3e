import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const snippets = [...readme.matchAll(/```ts\n([\s\S]*?)```\s*```output\n([\s\S]*?)```/g)];

describe('README', () => {
  it('has snippets to run', () => expect(snippets.length).toBeGreaterThan(0));

  it.each(snippets.map(([, code, output]) => [code!, output!]))('prints what it says', (code, output) => {
    const args = ['--conditions=development', '--import', 'tsx', '--input-type=module', '--eval', code];
    const printed = execFileSync(process.execPath, args, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(printed).toBe(output);
  });

  it('links to files that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map(match => match[1]!);
    expect(links.length).toBeGreaterThan(2);
    expect(links.filter(link => !existsSync(`${root}/${link.split('#')[0]}`))).toEqual([]);
  });

  it('names only scripts and commands that exist', () => {
    const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const named = [...readme.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(match => match[1]!);
    expect(named.filter(name => !(name in scripts))).toEqual([]);
    const commands = new Set([...readme.matchAll(/npx show1 (\w+)/g)].map(match => match[1]!));
    expect([...commands].filter(name => !existsSync(`${root}/src/cli/${name}.ts`))).toEqual([]);
  });
});
