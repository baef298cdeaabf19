import { expect, it } from "vitest";
import { compareTensors, f32, i64, tensor } from "../../../../compiler/core/index.js";

const big = 1000;

it.each([
  [[1, big], [1, big], true, true],
  [[0, big], [-0, big], false, true],
  [[Number.NaN, 1], [Number.NaN, 1], true, true],
  [[Number.NaN, 1], [0, 1], false, false],
  [[Number.POSITIVE_INFINITY, 1], [Number.NEGATIVE_INFINITY, 1], false, false],
  // A tenth of a thousandth of the tensor's greatest magnitude is the bound, for small elements, too.
  [[0, big], [0.09, big], false, true],
  [[0, big], [0.11, big], false, false],
  [[0, 0], [1e-8, 0], false, true],
])("holds %j against %j", (a, b, exact, values) => {
  expect(compareTensors(f32([2], a), f32([2], b), "bit-exact").same).toBe(exact);
  expect(compareTensors(f32([2], a), f32([2], b), "values").same).toBe(values);
});

it("wants integers, shapes and types equal", () => {
  expect(compareTensors(i64([1000000]), i64([1000001]), "values").same).toBe(false);
  expect(compareTensors(i64([7]), i64([7]), "values").same).toBe(true);
  expect(compareTensors(f32([1, 2], [1, 2]), f32([2, 1], [1, 2]), "values").same).toBe(false);
  expect(compareTensors(f32([1], [1]), tensor("f64", [1], [1]), "values").same).toBe(false);
  expect(compareTensors(tensor("string", [1], ["a"]), tensor("string", [1], ["b"]), "values").same).toBe(false);
});
