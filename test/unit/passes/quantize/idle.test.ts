/** Passes that find nothing to do say so, and why. */
import { expect, it } from "vitest";
import { f32, type PassDefinition, type PipelineOptions, runPipeline } from "../../../../compiler/core/index.js";
import { nativeExecutor } from "../../../../compiler/driver/engine/native.js";
import { findPass } from "../../../../passes/index.js";
import { graphOf } from "../support.js";

const said = async (pass: string, body: string, options: PipelineOptions = {}): Promise<string[]> =>
  (
    await runPipeline(graphOf(body), [{ pass: findPass(pass) as PassDefinition, options: pass === "quantize" ? { mode: "weights" } : {} }], options)
  ).warnings.map((w) => `${w.code} ${w.message}`);
const data = (dims: readonly number[]): PipelineOptions => ({
  executor: nativeExecutor(),
  calibration: {
    size: 1,
    async *batches() {
      yield {
        x: f32(
          dims,
          Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
        ),
      };
    },
  },
});

const one = 'in %x : f32[N, 4]\nconst %w : f32[4, 3] = random(1)\n%y = matmul %x, %w @"m"\nout %y';
const norms = `in %x : f32[N, 2, 4, 4]
const %w : f32[3, 2, 1, 1] = random(1)
const %v : f32[2, 3, 1, 1] = random(2)
const %g : f32[3] = splat(1)
const %z : f32[3] = splat(0)
%a = conv %x, %w @"a"
%n = batch_normalization %a, %g, %z, %z, %g @"n"
%r = relu %n @"r"
%y = conv %r, %v @"b"
out %y`;

it("equalize", async () => {
  expect(await said("equalize", one)).toEqual([
    expect.stringMatching(/^CEC4030 equalize scales no channel: between its products stand only channels/),
  ]);
  expect(await said("equalize", norms)).toEqual([
    "CEC4030 equalize scales no channel: BatchNorms stand between its products; put it after fold_batch_norm",
  ]);
  expect(await said("equalize", 'in %x : f32[N, 4]\n%y = relu %x @"r"\nout %y')).toEqual([
    "CEC4030 equalize scales no channel: the graph has no products with constant weights",
  ]);
});

it("absorb_bias", async () => {
  expect(await said("absorb_bias", one)).toEqual(["CEC4030 absorb_bias moves nothing: it needs calibration data; add `calibrate` to the plan"]);
  expect(await said("absorb_bias", norms, data([1, 2, 4, 4]))).toEqual([
    "CEC4030 absorb_bias moves nothing: no product with a bias and a Relu of its own gives to products without padding; put it after fold_batch_norm and fuse",
  ]);
});

it("smooth_quant", async () => {
  expect(await said("smooth_quant", one)).toEqual(["CEC4030 smooth_quant smooths nothing: it needs calibration data; add `calibrate` to the plan"]);
  expect(await said("smooth_quant", one, data([1, 4]))).toEqual([
    "CEC4030 smooth_quant smooths nothing: the graph has no LayerNorm; where it is written in single ops, put smooth_quant after fuse",
  ]);
});

it("a model that came quantized is told so at its first such op", async () => {
  const body = `in %x : f32[N, 4]
const %q : i8[4, 3] = splat(3)
const %s : f32[] = splat(0.5)
%w = dequantize_linear %q, %s @"stored"
%y = matmul %x, %w @"m"
out %y`;
  expect(await said("quantize", body)).toEqual([
    "CEC4031 1 ops of the model are quantized already and stay as they are: quantize the float model instead",
  ]);
});
