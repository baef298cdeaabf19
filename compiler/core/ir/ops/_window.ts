/** Convolution and pooling: geometry and scalar reference loops over any number of spatial axes. */
import type { Attrs } from "../graph.js";
import { countOf } from "../tensor.js";
import { product, type WindowAxis, windows } from "./_infer.js";

const reject = (what: string): never => {
  throw new RangeError(what);
};

export interface Geometry {
  readonly axes: readonly WindowAxis[];
  readonly out: readonly number[];
}

export function geometry(attrs: Attrs, spatial: readonly number[], kernel: readonly number[]): Geometry {
  const w = windows(attrs, spatial, kernel, reject);
  return { axes: w.axes, out: w.out as readonly number[] };
}

/**
 * Visits, for each output position (row-major index `o`) and each kernel tap (row-major index `k`), the input position (row-major index, or -1 in padding).
 * `counted` is false for taps beyond the declared padding (ceil_mode), which averages never count.
 */
export function visitWindows(g: Geometry, spatial: readonly number[], visit: (o: number, k: number, input: number, counted: boolean) => void): void {
  const outs = product(g.out);
  const kernel = g.axes.map((a) => a.kernel);
  const taps = product(kernel);
  const at = new Array<number>(spatial.length);
  for (let o = 0; o < outs; o++) {
    for (let k = 0; k < taps; k++) {
      let inside = true;
      let counted = true;
      let [ro, rk] = [o, k];
      for (let a = spatial.length - 1; a >= 0; a--) {
        const axis = g.axes[a] as WindowAxis;
        const oi = ro % (g.out[a] as number);
        const ki = rk % axis.kernel;
        ro = (ro - oi) / (g.out[a] as number);
        rk = (rk - ki) / axis.kernel;
        const p = oi * axis.stride - axis.padBegin + ki * axis.dilation;
        if (p < 0 || p >= (spatial[a] as number)) inside = false;
        if (p >= (spatial[a] as number) + axis.padEnd) counted = false;
        at[a] = p;
      }
      let index = -1;
      if (inside) {
        index = 0;
        for (let a = 0; a < at.length; a++) index = index * (spatial[a] as number) + (at[a] as number);
      }
      visit(o, k, index, counted);
    }
  }
}

/**
 * Convolution sums in doubles: x [N, C, …], w [O, C/g, …] → [N, O, …]. `xAt` and `wAt` read elements (zero points already taken off).
 * Integer sums stay exact up to 2^53.
 */
export function convolve(
  x: { readonly dims: readonly number[]; at(i: number): number },
  w: { readonly dims: readonly number[]; at(i: number, outputChannel: number): number },
  attrs: Attrs,
): { readonly dims: number[]; readonly data: Float64Array } {
  const [n = 1, c = 1, ...spatial] = x.dims;
  const [o = 1, cg = 1, ...kernel] = w.dims;
  const group = (attrs["group"] as number | undefined) ?? 1;
  const g = geometry(attrs, spatial, kernel);
  const outs = product(g.out);
  const taps = product(kernel);
  const area = countOf(spatial);
  const data = new Float64Array(n * o * outs);
  const perGroup = o / group;
  visitWindows(g, spatial, (p, k, input) => {
    if (input < 0) return;
    for (let b = 0; b < n; b++) {
      for (let f = 0; f < o; f++) {
        const base = Math.floor(f / perGroup) * cg;
        let s = 0;
        for (let i = 0; i < cg; i++) s += x.at((b * c + base + i) * area + input) * w.at((f * cg + i) * taps + k, f);
        data[(b * o + f) * outs + p]! += s;
      }
    }
  });
  return { dims: [n, o, ...g.out], data };
}
