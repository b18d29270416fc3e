/**
 * Spellings of public checkpoints. A layout reads a tensor's name into a unit of our network and the tensor's role there;
 * what it cannot read is unexpected, what it lacks is missing.
 */

/** What a tensor is to its unit: of the convolution, or of the batch norm after it. */
export type Role = 'kernel' | 'bias' | 'gamma' | 'beta' | 'mean' | 'variance';

export interface UnitTensor {
  /** Our name of the unit, e.g. `Mixed_3b.b1a`. */
  unit: string;
  role: Role;
}

export interface UnitLayout {
  /** Stable name, kept in the config of converted weights. */
  name: string;
  /** Whose spelling it is, for messages. */
  label: string;
  /** Axes of kernels: PyTorch's [out, in, …] or TensorFlow's […, in, out]. */
  order: 'torch' | 'tensorflow';
  /** Null for a name that is not of this layout; `aside` for tensors that are known and not needed. */
  read(tensor: string): UnitTensor | 'aside' | null;
  /** Said after a conversion. */
  note?: string;
}

/** A unit of a network and whether batch norm follows its convolution in checkpoints. */
export interface Unit {
  name: string;
  norm: boolean;
}

const ROLES: readonly (readonly [role: Role | 'aside', spelling: RegExp])[] = [
  ['aside', /^((bn|batch3d)\.)?num_batches_tracked$/],
  ['gamma', /^(bn|batch3d)\.weight$|^((bn|batch_norm)\.)?gamma$/],
  ['beta', /^(bn|batch3d)\.bias$|^((bn|batch_norm)\.)?beta$/],
  ['mean', /^((bn|batch3d)\.)?running_mean$|^((bn|batch_norm)\.)?(moving_)?mean$/],
  ['variance', /^((bn|batch3d)\.)?running_var$|^((bn|batch_norm)\.)?((moving_)?variance|var)$/],
  ['kernel', /^((conv|conv3d)\.)?weight$|^(conv_3d\.)?w$|^W$/],
  ['bias', /^((conv|conv3d)\.)?bias$|^(conv_3d\.)?b$/],
];

/** Reads `<unit>.<role>` where `unitOf` knows the spelling of the unit. Slashes count as dots, TensorFlow's `:0` as nothing. */
export function readUnit(tensor: string, unitOf: (unit: string) => string | null): UnitTensor | 'aside' | null {
  const name = tensor.replaceAll('/', '.').replace(/:0$/, '');
  for (let at = name.indexOf('.'); at > 0; at = name.indexOf('.', at + 1)) {
    const unit = unitOf(name.slice(0, at));
    const role = unit === null ? undefined : ROLES.find(([, spelling]) => spelling.test(name.slice(at + 1)))?.[0];
    if (unit !== null && role) return role === 'aside' ? 'aside' : { unit, role };
  }
  return null;
}
