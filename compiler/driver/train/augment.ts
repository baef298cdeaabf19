/** Random changes of images, [C, H, W] or [H, W, C]: what they are depends on the generator alone. */
import type { Augmentation } from "../../core/index.js";

export interface ImageShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Elements between neighbours along each axis. */
  readonly strides: readonly [channel: number, row: number, column: number];
}

/** `null` for what is no image. Few channels on the last axis are taken as [H, W, C]. */
export function imageShape(dims: readonly number[]): ImageShape | null {
  const [a = 0, b = 0, c = 0] = dims;
  if (dims.length !== 3) return null;
  return c <= 4 && a > 4
    ? { channels: c, height: a, width: b, strides: [1, b * c, c] }
    : { channels: a, height: b, width: c, strides: [b * c, c, 1] };
}

const below = (random: () => number, n: number): number => Math.min(n - 1, Math.floor(random() * n));

/** Writes a changed copy of `from` to `to[at …]`. Draws the same numbers whatever the image holds. */
export function augmentImage(from: Float32Array, to: Float32Array, at: number, shape: ImageShape, a: Augmentation, random: () => number): void {
  const { channels, height, width, strides } = shape;
  const [dy, dx] = a.crop === 0 ? [0, 0] : [below(random, 2 * a.crop + 1) - a.crop, below(random, 2 * a.crop + 1) - a.crop];
  const mirrored = a.flip && random() < 0.5;
  const [top, left] = a.cutout === 0 ? [0, 0] : [below(random, height) - (a.cutout >> 1), below(random, width) - (a.cutout >> 1)];
  for (let y = 0; y < height; y++) {
    const sy = y + dy;
    for (let x = 0; x < width; x++) {
      const sx = (mirrored ? width - 1 - x : x) + dx;
      const hidden = a.cutout > 0 && y >= top && y < top + a.cutout && x >= left && x < left + a.cutout;
      const inside = !hidden && sy >= 0 && sy < height && sx >= 0 && sx < width;
      for (let c = 0; c < channels; c++) {
        const o = c * strides[0] + y * strides[1] + x * strides[2];
        to[at + o] = inside ? (from[c * strides[0] + sy * strides[1] + sx * strides[2]] as number) : 0;
      }
    }
  }
}
