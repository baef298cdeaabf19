import { expect, it } from "vitest";
import { f32, randomFrom, toNumbers } from "../../../../compiler/core/index.js";
import { BIAS_LIMIT, quantizeBias, quantizeWeights, weightScales, widenForBias } from "../../../../passes/quantize/weights.js";

const random = (dims: readonly number[], seed: number) => {
  const r = randomFrom(seed);
  return f32(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => r() * 4 - 2),
  );
};

it.each([
  [[3, 2, 2], 0],
  [[3, 2, 2], 1],
  [[3, 4], 1],
  [[2, 3, 4, 5], 3],
  [[3, 2, 2], null],
] as const)("scales of %j along axis %s map each slice's greatest magnitude to 127", (dims, axis) => {
  const w = random(dims, 1);
  const v = toNumbers(w);
  const scales = weightScales(w, axis);
  const q = toNumbers(quantizeWeights(w, scales, axis));
  const slices = axis === null ? 1 : (dims[axis] as number);
  expect(scales).toHaveLength(slices);
  const stride = axis === null ? 1 : dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  for (let c = 0; c < slices; c++) {
    const at = Array.from(v.keys()).filter((i) => axis === null || Math.floor(i / stride) % slices === c);
    const top = Math.max(...at.map((i) => Math.abs(v[i] as number)));
    expect(scales[c]).toBe(Math.fround(top / 127));
    expect(Math.max(...at.map((i) => Math.abs(q[i] as number)))).toBe(127);
    for (const i of at)
      expect(Math.abs((q[i] as number) * (scales[c] as number) - (v[i] as number))).toBeLessThanOrEqual((scales[c] as number) * 0.5001);
  }
});

it("a channel of zeros is stored as zeros with a positive scale", () => {
  const w = f32([2, 2], [0, 0, 1, -1]);
  const scales = weightScales(w, 0);
  expect(scales.every((s) => s > 0)).toBe(true);
  expect([...toNumbers(quantizeWeights(w, scales, 0))]).toEqual([0, 0, 127, -127]);
});

it("weights round halves to even and never reach -128", () => {
  expect([...toNumbers(quantizeWeights(f32([5], [0.5, 1.5, 2.5, -0.5, -200]), [1], null))]).toEqual([0, 2, 2, 0, -127]);
});

it("weights of denormal size keep a scale that can be inverted", () => {
  const [s] = weightScales(f32([1], [1e-40]), null);
  expect(s).toBeGreaterThan(0);
  expect(Number.isFinite(1 / (s as number))).toBe(true);
});

it("biases fit 32 bits after widening, and others keep their scale", () => {
  const r = randomFrom(5);
  for (let i = 0; i < 200; i++) {
    const xScale = Math.fround(10 ** (r() * 12 - 9));
    const scales = Array.from({ length: 4 }, () => Math.fround(10 ** (r() * 12 - 12)));
    const bias = Array.from({ length: 4 }, () => Math.fround((r() - 0.5) * 10 ** (r() * 8 - 2)));
    const wide = widenForBias(bias, xScale, scales);
    const q = toNumbers(quantizeBias(bias, xScale, wide.scales));
    q.forEach((v, c) => {
      expect(Math.abs(v)).toBeLessThanOrEqual(BIAS_LIMIT + 1);
      if (!wide.widened.includes(c)) expect(wide.scales[c]).toBe(scales[c]);
      else expect((wide.scales[c] as number) > (scales[c] as number)).toBe(true);
      const step = xScale * (wide.scales[c] as number);
      expect(Math.abs(v * step - (bias[c] as number))).toBeLessThanOrEqual(step * 0.51 + Math.abs(bias[c] as number) * 1e-6);
    });
  }
});

it("one scale for all channels is widened for the largest bias", () => {
  const { scales, widened } = widenForBias([1, 1000, 10], 1e-4, [1e-6]);
  expect(scales).toHaveLength(1);
  expect(1000 / (1e-4 * (scales[0] as number))).toBeLessThanOrEqual(BIAS_LIMIT);
  expect(widened).toContain(1);
});
