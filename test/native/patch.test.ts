import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { locateTfjs } from '../../native/package-paths.mjs';
import { applyEdits, EDITS } from '../../native/patch.mjs';

const tfjs = locateTfjs();
const folder = join(tfjs.folder, 'binding');
const sources = new Map(readdirSync(folder).map(name => [name, readFileSync(join(folder, name), 'utf8')]));

test.each(EDITS.map(edit => [edit.file, edit.why, edit] as const))(
  'the anchor in %s occurs once: %s',
  (_, __, edit) => {
    expect(sources.get(edit.file)!.split(edit.anchor).length - 1).toBe(1);
  },
);

test('applies all edits and leaves the originals alone', () => {
  const before = new Map(sources);
  const out = applyEdits(sources, tfjs.version);
  expect(sources).toEqual(before);
  expect(out.get('tfjs_binding.cc')).toContain('show1::Register(env, exports);');
  expect(out.get('tfjs_backend.cc')).toContain('case TF_ATTR_FUNC:');
  const header = out.get('tfjs_backend.h')!;
  for (const member of [
    'int32_t InsertHandle',
    'GenerateOutputTensorInfo',
    'tfe_context_;',
    'tfe_handle_map_;',
    'device_name;',
  ]) {
    const before = header.slice(0, header.indexOf(member));
    expect(before.lastIndexOf('public:')).toBeGreaterThan(before.lastIndexOf('private:'));
  }
});

test('refuses another version of the package, by name', () => {
  const edit = { file: 'a.cc', why: 'test', anchor: 'here', replacement: 'there $& $1' };
  expect(applyEdits(new Map([['a.cc', 'x here y']]), '1.0', [edit]).get('a.cc')).toBe('x there $& $1 y');
  for (const [text, count] of [
    ['nothing', 0],
    ['here and here', 2],
  ] as const) {
    expect(() => applyEdits(new Map([['a.cc', text]]), '1.0', [edit])).toThrow(
      new RegExp(`tfjs-node-gpu 1.0 does not fit .* ${count} times in binding/a.cc`),
    );
  }
  expect(() => applyEdits(new Map(), '1.0', [edit])).toThrow('has no binding/a.cc');
});
