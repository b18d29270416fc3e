/** Recognises files that are not safetensors though they were given as such, and says what to do about each. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { InputError } from '../../errors.js';

const PICKLE_EXTENSION = /\.(bin|pt|pth|ckpt|pkl|pickle)$/i;

/** True for file names that PyTorch's pickle format uses. */
export const isPickleName = (file: string) => PICKLE_EXTENSION.test(file);

/** Python's line that rewrites `file` as safetensors `out`. */
function conversion(file: string, out: string): string {
  const quote = (s: string) => JSON.stringify(s).replaceAll("'", "'\\''");
  const script = isTorchScript(file);
  const load = script
    ? `d = torch.jit.load(${quote(file)}, map_location="cpu").state_dict(); `
    : `d = torch.load(${quote(file)}, map_location="cpu", weights_only=True); ` +
      `d = d.get("state_dict", d.get("model_state_dict", d)); `;
  // Some checkpoints keep numbers beside their tensors.
  const tensors = '{k: v.contiguous().clone() for k, v in d.items() if torch.is_tensor(v)}';
  return `import torch; from safetensors.torch import save_file; ${load}save_file(${tensors}, ${quote(out)}, metadata={"format": "pt"})`;
}

/** Bytes at the end of a zip archive in which its list of files is looked for. */
const ZIP_TAIL = 2 ** 20;

/** Whether a PyTorch archive is a TorchScript module, which `torch.load` does not read: it holds code. */
function isTorchScript(file: string): boolean {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch {
    return false;
  }
  try {
    const { size } = fstatSync(fd);
    const tail = Buffer.alloc(Math.min(size, ZIP_TAIL));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    return tail.includes('/constants.pkl') && tail.includes('/code/');
  } finally {
    closeSync(fd);
  }
}

/** Pickle files run code when loaded, so they are never opened: the message holds the command that converts one. */
export function pickleError(file: string): InputError {
  const out = `${file.replace(PICKLE_EXTENSION, '')}.safetensors`;
  return new InputError(
    `${file} is a PyTorch pickle, which can run code when loaded, so it is refused. ` +
      `Convert it once to safetensors:\n  python3 -c '${conversion(file, out)}'`,
    { code: 'weights.pickle', file },
  );
}

/** Arrays of NumPy, which some checkpoints of Chainer are. */
function numpyError(file: string): InputError {
  const quote = (s: string) => JSON.stringify(s).replaceAll("'", "'\\''");
  const python =
    `import numpy; from safetensors.numpy import save_file; d = numpy.load(${quote(file)}); ` +
    `save_file({k: numpy.ascontiguousarray(d[k]) for k in d.files}, ${quote(file.replace(/\.npz$/i, '.safetensors'))})`;
  return new InputError(`${file} holds NumPy arrays. Convert it once to safetensors:\n  python3 -c '${python}'`, {
    code: 'weights.numpy',
    file,
  });
}

/**
 * The error for a file whose first bytes tell what it is instead, or null when they do not. For files whose header did
 * not parse: bytes of a good file may look like any of these.
 * @param head the first bytes (200 tell everything)
 */
export function wrongKind(file: string, head: Uint8Array): InputError | null {
  const text = Buffer.from(head.subarray(0, 200)).toString('latin1');
  if (text.startsWith('version https://git-lfs')) {
    return new InputError(
      `${file} is a Git LFS pointer (a few lines of text), not the weights themselves. ` +
        `Fetch the content: run "git lfs install && git lfs pull" in the folder it was cloned to.`,
      { code: 'weights.lfs-pointer', file },
    );
  }
  if (/^\s*<(!doctype|html|head|\?xml)/i.test(text)) {
    return new InputError(
      `${file} is a web page, not weights: the download was answered with HTML (often a login or an error page). ` +
        `Download ${basename(file)} again, signed in where the model asks for it.`,
      { code: 'weights.html', file },
    );
  }
  if (/\.npz$/i.test(file) && text.startsWith('PK')) return numpyError(file);
  // zip archives (torch.save since 1.6) and raw pickle protocols 2..5
  if (text.startsWith('PK\x03\x04') || (head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5)) {
    return pickleError(file);
  }
  return null;
}
