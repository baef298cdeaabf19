/** `cec quantize` on models of other kinds: each is compressed, loads in ONNX Runtime and stays close to its source, or says what stays in float and why. */
import { zipSync } from "fflate";
import { expect, it } from "vitest";
import { encodeNpy } from "../../../compiler/driver/data/npy.js";
import { cec, temporaryFolder, write } from "../support.js";
import { kinds } from "./models.js";

const folder = temporaryFolder();

interface Report {
  readonly evaluations: readonly { readonly engines: { readonly ort?: { readonly after: { readonly values: { readonly cosine: number } } } } }[];
  readonly decisions: readonly { readonly action: string; readonly kind: string; readonly reason: string }[];
  readonly outputs: readonly { readonly path: string }[];
}

for (const [i, k] of kinds.entries()) {
  const name = `k${i}`;
  it(`quantizes ${k.name}`, () => {
    write(folder, `${name}.onnx`, k.bytes);
    write(folder, `${name}.npz`, zipSync(Object.fromEntries(Object.entries(k.arrays).map(([n, t]) => [`${n}.npy`, encodeNpy(t)]))));
    const r = cec(folder, ["quantize", `${name}.onnx`, "-o", `${name}.int8.onnx`, "--calibrate", `${name}.npz`, "--json"]);
    expect(r.status, r.stderr).toBe(0);
    const report = JSON.parse(r.stdout) as Report;
    // The build itself has loaded the file in ONNX Runtime: what is here is its result.
    expect(report.evaluations[0]?.engines.ort?.after.values.cosine).toBeGreaterThan(k.cosine ?? 0.98);
    if (k.quantizes !== false) expect(report.decisions.filter((d) => d.action === "int8").length).toBeGreaterThan(0);
    for (const kind of k.float ?? [])
      expect([
        kind,
        report.decisions.some((d) => d.action === "float" && (d.kind === kind || d.reason.includes(kind)) && d.reason.length > 10),
      ]).toEqual([kind, true]);
  });
}

it("quantizes a recurrent and an old model without data: weights, and dynamic products", () => {
  for (const name of ["k0", "k3", "k6"]) {
    const r = cec(folder, ["quantize", `${name}.onnx`, "-o", `${name}.dynamic.onnx`, "--json"]);
    expect(r.status, r.stderr).toBe(0);
    expect((JSON.parse(r.stdout) as Report).outputs.length).toBe(1);
  }
});

it("says that ONNX Runtime takes over where the native engine lacks an op", () => {
  const r = cec(folder, ["quantize", "k8.onnx", "-o", "again.onnx", "--calibrate", "k8.npz"]);
  expect(r.stderr).toContain("ONNX Runtime takes over");
  const forced = cec(folder, ["quantize", "k8.onnx", "-o", "never.onnx", "--calibrate", "k8.npz", "--engine", "native"]);
  expect(forced.status).toBe(1);
  expect(forced.stderr).toContain("CEC6002");
});
