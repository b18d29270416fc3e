/**
 * Encodes or decodes one frame in a process of its own and prints the seconds and the peak memory as JSON:
 * `memory-child.ts encode|decode whole|tiled SIDE CHANNELS [ROWS]`, CHANNELS as `128,256,512,512`.
 */
import { randomNormal, rngKey, tf } from '../../../src/engine/index.js';
import { AutoencoderKL, VideoCodec } from '../../../src/models/vae/index.js';

const [direction, way, side, channels, rows = '32'] = process.argv.slice(2) as [string, string, string, string, string];
const blockOutChannels = channels.split(',').map(Number);
const types = (name: string) => blockOutChannels.map(() => name);
const vae = new AutoencoderKL({
  block_out_channels: blockOutChannels,
  down_block_types: types('DownEncoderBlock2D'),
  up_block_types: types('UpDecoderBlock2D'),
  layers_per_block: 2,
});
vae.initialize(1);
const codec = new VideoCodec({ vae, tile: way === 'tiled' ? { above: 1, rows: Number(rows) } : false });

/** Codes a square frame of random numbers. */
async function code(size: number): Promise<void> {
  const low = size / vae.downsampleFactor;
  const latents = tf.tidy(() => randomNormal([1, 1, low, low, 4], rngKey(1, 0, 'latents')));
  const video = tf.tidy(() => randomNormal([1, 1, size, size, 3], rngKey(1, 0, 'video')));
  const output = direction === 'encode' ? await codec.encode(video, latents) : await codec.decode(latents);
  output.dataSync();
  tf.dispose([latents, video, output]);
}

await code(8 * vae.downsampleFactor); // what is loaded once is loaded now
const before = process.resourceUsage().maxRSS;
const start = performance.now();
const cpu = process.cpuUsage();
await code(Number(side));
const seconds = (performance.now() - start) / 1e3;
const { user, system } = process.cpuUsage(cpu);
const round = (value: number) => Number(value.toFixed(1));
const MiB = (kib: number) => Math.round(kib / 1024);
const peakMiB = MiB(process.resourceUsage().maxRSS);
console.log(
  JSON.stringify({
    seconds: round(seconds),
    cpuSeconds: round((user + system) / 1e6),
    beforeMiB: MiB(before),
    peakMiB,
  }),
);
