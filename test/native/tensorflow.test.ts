import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { downloadOwn } from '../../native/own-download.mjs';
import { silent } from '../../native/progress.mjs';
import { findTensorflow, inspectFolder } from '../../native/tensorflow.mjs';
import {
  copyToDest,
  FRAMEWORK_LIBRARY,
  fakePython,
  MAIN_LIBRARY,
  makeWheel,
  REPOSITORY,
  temporaryFolder,
} from './fakes.js';

function put(path: string, text = 'x'): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** The two libraries in `libraries`, the header in `include`. */
function putTensorflow(libraries: string, include = join(libraries, 'include')): void {
  put(join(libraries, MAIN_LIBRARY));
  put(join(libraries, FRAMEWORK_LIBRARY));
  put(join(include, 'tensorflow/c/eager/c_api.h'));
}

/** A npm package whose own download does what `script` says. */
function fakeTfjs(script: string): string {
  const folder = temporaryFolder();
  put(join(folder, 'package.json'), '{"version": "4.22.0"}');
  put(join(folder, 'scripts/deps-constants.js'), "const LIBTENSORFLOW_VERSION = '2.9.1';");
  put(join(folder, 'scripts/install.js'), script);
  return folder;
}

const unreachable = "throw new Error('getaddrinfo ENOTFOUND host.example')";
const reachable = `const fs = require('fs');
  fs.mkdirSync('deps/lib', { recursive: true });
  fs.mkdirSync('deps/include/tensorflow/c/eager', { recursive: true });
  fs.writeFileSync('deps/lib/${MAIN_LIBRARY}', 'x');
  fs.writeFileSync('deps/lib/${FRAMEWORK_LIBRARY}', 'x');
  fs.writeFileSync('deps/include/tensorflow/c/eager/c_api.h', 'x');
  process.exit(1); // its build step fails here, which does not matter`;

const pins = JSON.parse(readFileSync(join(REPOSITORY, 'native/versions.json'), 'utf8'));

function context(env: NodeJS.ProcessEnv, more = {}) {
  const cache = temporaryFolder();
  return { variant: 'cpu' as const, cache, pins, tfjs: fakeTfjs(unreachable), progress: silent, env, ...more };
}

test('recognises a Python package, its parent and a C release', () => {
  const site = temporaryFolder();
  putTensorflow(join(site, 'tensorflow'));
  expect(inspectFolder(site)).toEqual(inspectFolder(join(site, 'tensorflow')));
  const release = temporaryFolder();
  putTensorflow(join(release, 'lib'), join(release, 'include'));
  expect(inspectFolder(release)).toEqual({
    libraries: [join(release, 'lib', MAIN_LIBRARY), join(release, 'lib', FRAMEWORK_LIBRARY)],
    include: join(release, 'include'),
  });
});

test('says what a folder lacks', () => {
  const folder = temporaryFolder();
  expect(inspectFolder(folder)).toEqual({ missing: expect.stringContaining(MAIN_LIBRARY) });
  put(join(folder, MAIN_LIBRARY));
  put(join(folder, FRAMEWORK_LIBRARY));
  expect(inspectFolder(folder)).toEqual({ missing: expect.stringContaining('c_api.h') });
});

test('a folder that the user names comes first', async () => {
  const [named, site, bin] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  putTensorflow(join(named, 'tensorflow'));
  putTensorflow(join(site, 'tensorflow'));
  const tensorflow = [{ name: 'tensorflow', version: pins.tensorflow, folder: join(site, 'tensorflow') }];
  fakePython(bin, { facts: { tensorflow } });
  expect((await findTensorflow(context({ PATH: bin, SHOW1_TENSORFLOW: named }))).source).toBe('folder');
  const installed = await findTensorflow(context({ PATH: bin }));
  expect(installed).toMatchObject({ source: 'python', version: pins.tensorflow });
  expect(installed.libraries[0]).toBe(join(site, 'tensorflow', MAIN_LIBRARY));
});

test('a wrong SHOW1_TENSORFLOW is an error, never skipped', async () => {
  const folder = temporaryFolder();
  const failing = (value: string) => findTensorflow(context({ PATH: '', SHOW1_TENSORFLOW: value }));
  await expect(failing(join(folder, 'none'))).rejects.toThrow(/SHOW1_TENSORFLOW=.*none does not exist/);
  await expect(failing(folder)).rejects.toThrow(/SHOW1_TENSORFLOW=.*has no libtensorflow/);
  put(join(folder, 'other.whl'));
  await expect(failing(join(folder, 'other.whl'))).rejects.toThrow(/not a pinned wheel/);
});

test('an installed TensorFlow of another version, or without CUDA where that is wanted, is passed over', async () => {
  const [site, bin, shelf] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  putTensorflow(join(site, 'tensorflow'));
  const { wheel, path } = makeWheel(shelf);
  const own = { ...pins, wheels: { [`${process.platform}-${process.arch}-cpu`]: [wheel] } };
  const facts = (version: string) => ({
    tensorflow: [{ name: 'tensorflow', version, folder: join(site, 'tensorflow') }],
  });
  fakePython(bin, { facts: facts('2.1.0'), pip: copyToDest(path) });
  const found = await findTensorflow(context({ PATH: bin }, { pins: own }));
  expect(found).toMatchObject({ source: 'wheel', version: '9.9.9' });

  fakePython(bin, { facts: facts(pins.tensorflow) });
  const cuda = context({ PATH: bin }, { pins: own, variant: 'cuda' });
  await expect(findTensorflow(cuda)).rejects.toMatchObject({ code: 'platform.unsupported' });
  mkdirSync(join(site, 'nvidia/cudnn'), { recursive: true });
  expect(await findTensorflow(cuda)).toMatchObject({ source: 'python', variant: 'cuda' });
});

test('without Python the npm package is asked to download its own, and the first obstacle is reported if that fails', async () => {
  const found = await findTensorflow(context({ PATH: '' }, { tfjs: fakeTfjs(reachable) }));
  expect(found).toMatchObject({ source: 'package', version: '2.9.1', variant: 'cpu' });
  await expect(findTensorflow(context({ PATH: '' }))).rejects.toMatchObject({
    code: 'python.missing',
    message: expect.stringMatching(/no Python 3 on PATH.*own download failed too: .*ENOTFOUND/s),
  });
});

test("the npm package's own download is kept, and its folder is not touched", async () => {
  const tfjs = fakeTfjs(reachable);
  const cache = temporaryFolder();
  const options = { cache, tfjs, progress: silent, env: {} };
  const first = await downloadOwn(options);
  put(join(tfjs, 'scripts/install.js'), unreachable);
  expect(await downloadOwn(options)).toEqual(first);
  expect(inspectFolder(join(tfjs, 'deps'))).toHaveProperty('missing');
});
