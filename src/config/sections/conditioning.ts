import { int, num, section } from '../fields.js';

const LEVELS = { minimum: 0, maximum: 999 };

/** What a super-resolution stage sees of the clip that it enlarges. */
export const conditioningSection = section('The small clip that sr1 and sr2 enlarge (unused by base and interp).', {
  scale: int(
    'How many times smaller: width and height are divided by it (pixels averaged). sr1 trains on it; sr2 makes its ' +
      'validation samples from it. Show-1’s sr1 enlarges 4 times, its sr2 about 2 times.',
    4,
    { minimum: 2, maximum: 16 },
  ),
  crop: int(
    'sr1, sr2: side in pixels of a random square that training takes out of each clip, a multiple of `scale` and of the ' +
      'pixels of a latent; 0 trains on whole frames. Details do not depend on what is far away, and a smaller square costs less.',
    0,
  ),
  noiseLevel: section(
    'sr1: noise on the enlarged small clip, as a timestep of 1000 steps of squaredcos_cap_v2, drawn uniformly for each clip and told ' +
      'to the network.',
    {
      min: int('Lowest level.', 0, LEVELS),
      max: int('Highest level.', 500, LEVELS),
      sampling: int('Level when sampling; Show-1 uses 250.', 250, LEVELS),
    },
  ),
  firstFrame: num(
    'sr1: share of clips whose first frame is shown at full size without noise, as the released sampler always does. The ' +
      'others show the small first frame enlarged, as sampling without an image model does.',
    0.9,
    { minimum: 0, maximum: 1 },
  ),
  strength: num(
    'sr2: share of the denoising steps that sampling takes, from the noised latents of the enlarged clip on. Show-1: 0.8.',
    0.8,
    { exclusiveMinimum: 0, maximum: 1 },
  ),
});
