import { describe, expect, it } from 'vitest';
import { configText } from '../../../src/models/weights/config-text.js';

describe('configText', () => {
  it('notes the type of the weights that are written, at any depth', () => {
    const config = { torch_dtype: 'float16', text_config: { dtype: 'bfloat16', hidden_act: 'gelu' }, name: 'float16' };
    expect(JSON.parse(configText(config, 'F32'))).toEqual({
      torch_dtype: 'float32',
      text_config: { dtype: 'float32', hidden_act: 'gelu' },
      name: 'float16',
    });
    expect(JSON.parse(configText({ dtype: 'auto' }, 'BF16'))).toEqual({ dtype: 'auto' });
    expect(JSON.parse(configText({ width: 3 }, 'F16'))).toEqual({ width: 3 });
  });

  it('writes whole numbers as floats where transformers 5 takes no others', () => {
    const config = { initializer_factor: 1, layers: 1, vision_config: { layer_norm_eps: 1, initializer_range: 0.02 } };
    const text = configText(config, 'F32');
    expect(JSON.parse(text)).toEqual(config);
    expect(text.match(/[\d.]+(?=,?$)/gm)).toEqual(['1.0', '1', '1.0', '0.02']);
    expect(text.endsWith('}\n')).toBe(true);
    expect(configText({ layer_norm_epsilon: 1e-6 }, 'F32')).toContain('"layer_norm_epsilon": 0.000001\n');
  });
});
