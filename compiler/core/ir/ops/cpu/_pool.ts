/** Windows over [N, H, W, C]. */
import { type Attrs, flag, nums } from "../../graph.js";
import { type Tensor, toNumbers } from "../../tensor.js";
import { geometry, visitWindows } from "../_window.js";

export interface Pooled {
  readonly dims: readonly number[];
  readonly data: Float64Array;
  /** Divisor of an average for each output pixel, row-major over OH, OW. */
  readonly counts: Float64Array;
}

/** Folds `step` over the elements of each window that lie in the image. */
export function poolSums(x: Tensor, attrs: Attrs, start: number, step: (a: number, b: number) => number, kernel?: readonly number[]): Pooled {
  const [n, h, w, c] = x.dims as [number, number, number, number];
  const g = geometry(attrs, [h, w], kernel ?? nums({ attrs }, "kernel_shape"));
  const [oh, ow] = g.out as [number, number];
  const v = toNumbers(x);
  const data = new Float64Array(n * oh * ow * c).fill(start);
  const counts = new Float64Array(oh * ow);
  const includePad = flag({ attrs }, "count_include_pad");
  visitWindows(g, [h, w], (o, _, input, counted) => {
    if (input >= 0 || (includePad && counted)) counts[o]!++;
    if (input < 0) return;
    for (let b = 0; b < n; b++) {
      for (let k = 0; k < c; k++) {
        const at = (b * oh * ow + o) * c + k;
        data[at] = step(data[at] as number, v[(b * h * w + input) * c + k] as number);
      }
    }
  });
  return { dims: [n, oh, ow, c], data, counts };
}
