import { describe, expect, it } from 'vitest';
import { editDistance, nearest, nearestPath } from '../../src/config/nearest.js';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['trian', 'train', 1],
    ['same', 'same', 0],
  ])('%s -> %s is %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe('nearest', () => {
  it('forgives typing errors, case and separators', () => {
    expect(nearest('trian', ['train', 'sample'])).toBe('train');
    expect(nearest('batch_size', ['batchSize', 'betas'])).toBe('batchSize');
  });
  it('does not guess when nothing is near', () => {
    expect(nearest('momentum', ['train', 'sample'])).toBeUndefined();
    expect(nearest('x', [])).toBeUndefined();
  });
});

describe('nearestPath', () => {
  const paths = ['seed', 'model.init.seed', 'train.steps', 'train.learningRate', 'validate.sampler.steps'];
  it('finds a key in another section', () => {
    expect(nearestPath('learningRate', paths)).toBe('train.learningRate');
    expect(nearestPath('optimizer.learning_rate', paths)).toBe('train.learningRate');
  });
  it('prefers the same section', () => {
    expect(nearestPath('train.step', paths)).toBe('train.steps');
    expect(nearestPath('validate.sampler.step', paths)).toBe('validate.sampler.steps');
    expect(nearestPath('sede', paths)).toBe('seed');
  });
});
