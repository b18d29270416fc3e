/** Where a video is: a file, some bytes of a tar shard, or a part in time of either. */

/** A file inside a tar: its name there and its bytes `[start, end)` of the tar. */
export interface TarMember {
  name: string;
  start: number;
  end: number;
}

/** A part of a video, in seconds from its start: the frames shown at or after `start` and before `start + seconds`. */
export interface Segment {
  start: number;
  seconds: number;
}

export interface VideoSource {
  path: string;
  /** The video is these bytes of `path`, a tar shard. */
  member?: TarMember;
  /** The clip is this part of the video. */
  segment?: Segment;
}

/** A path alone is a whole file. */
export function asSource(video: string | VideoSource): VideoSource {
  return typeof video === 'string' ? { path: video } : video;
}

/** For messages: `PATH`, `SHARD.tar(MEMBER)`, each with ` from 2.00 s to 3.50 s` for a segment. */
export function nameOf(video: string | VideoSource): string {
  const { path, member, segment } = asSource(video);
  const file = member ? `${path}(${member.name})` : path;
  if (!segment) return file;
  return `${file} from ${segment.start.toFixed(2)} s to ${(segment.start + segment.seconds).toFixed(2)} s`;
}

/** A local file as ffmpeg must read it: never as a URL, a pattern, an option or a playlist of remote files. */
export function inputUrl(video: string | VideoSource): string {
  const { path, member } = asSource(video);
  if (!member) return `file:${path}`;
  return `subfile,,start,${member.start},end,${member.end},,:file:${path}`;
}

/** Removes from ffmpeg's words what only {@link inputUrl} put there. */
export function withoutUrl(words: string): string {
  return words.replace(/subfile,,start,\d+,end,\d+,,:file:/g, '');
}
