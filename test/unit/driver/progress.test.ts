import { expect, it } from "vitest";
import { progressLines } from "../../../compiler/driver/cli/output.js";

it("logs get a line each time the interval is over, none before", () => {
  const lines: string[] = [];
  const often = progressLines((line) => lines.push(line), 0);
  often.update("train", 0.257, "step 7 of 27");
  often.update("train", 1, "step 27 of 27");
  expect(lines).toEqual(["25% train: step 7 of 27", "100% train: step 27 of 27"]);
  const rarely = progressLines((line) => lines.push(line), 1e9);
  rarely.update("train", 0.5, "step 13 of 27");
  expect(lines).toHaveLength(2);
});
