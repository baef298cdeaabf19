/** A program that `cec build` wrote, run by the C++ example without Node, gives the bytes that the JavaScript session gives. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { nativeIsBuilt } from "../../runtime-native/ts/index.js";
import { Session } from "../../runtime-native/ts/inference.js";
import { cec, root, smallNetOnnx, smallPlan, temporaryFolder, write } from "./support.js";

const example = join(root, "runtime-native/build/tests-release/examples/run_bundle");

it.skipIf(!nativeIsBuilt() || !existsSync(example))("run_bundle and Session agree to the bit on a built INT8 model", async () => {
  const folder = temporaryFolder();
  write(folder, "net.onnx", smallNetOnnx());
  write(folder, "small.cplan", smallPlan());
  expect(cec(folder, ["build", "small.cplan"]).stderr).not.toContain("error");
  const model = join(folder, "out/net.int8.cecb");
  const image = Float32Array.from({ length: 5 * 144 }, (_, i) => Math.sin(i));
  const bytes = (a: Float32Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
  write(folder, "image.bin", bytes(image));
  mkdirSync(join(folder, "raw"));
  const ran = spawnSync(
    example,
    [model, "--input", `image=${join(folder, "image.bin")}`, "--dim", "image=5,1,12,12", "--output", join(folder, "raw")],
    {
      encoding: "utf8",
    },
  );
  expect([ran.status, ran.stderr]).toEqual([0, ""]);
  const session = await Session.load(model, { threads: 2 });
  const { logits } = await session.run({ image });
  session.dispose();
  expect(logits?.dims).toEqual([5, 10]);
  expect(Buffer.compare(readFileSync(join(folder, "raw/logits.bin")), bytes(logits?.data as Float32Array))).toBe(0);
});
