/** Fixtures of kind `t5_encoder`: the last hidden states at every position, padded ones too. */
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { T5EncoderModel } from '../models/text/t5.js';
import { type CheckResult, type Fixture, unconsumedBy } from './types.js';

/** @throws InputError when the fixture lacks weights or input ids */
export async function verifyT5Encoder(fixture: Fixture): Promise<CheckResult> {
  const { weights, io, config, name } = fixture;
  const ids = io.get('in.input_ids');
  const expected = io.get('out.last_hidden_state');
  if (!weights || !ids || !expected) {
    throw new InputError(
      `${name}: a t5_encoder fixture needs weights.safetensors, and in.input_ids and out.last_hidden_state in io.safetensors.`,
      { code: 'verify.input-missing', name },
    );
  }
  const model = new T5EncoderModel(config);
  try {
    await model.loadStateDict(weights);
    const output = tf.tidy(() => {
      const tensor = (value: typeof ids): Tensor => tf.tensor(Array.from(value.data), [...value.shape], 'int32');
      const mask = io.get('in.attention_mask');
      return model.forward(tensor(ids), mask && tensor(mask));
    });
    const actual = { shape: output.shape, data: await output.data() };
    output.dispose();
    const checks = [{ name: 'out.last_hidden_state', actual, expected, kind: 'output' as const }];
    return { checks, unconsumed: unconsumedBy(checks, fixture) };
  } finally {
    model.dispose();
  }
}
