/** All diagnostic codes with what `cec explain CODE` prints. One file per thousand: 1 command line, 2 language, 3 ONNX, 4 graphs and passes, 5 data, 6 engines, 7 outputs, 9 our bugs. */
import { codes1 } from "./1xxx.js";
import { codes2 } from "./2xxx.js";
import { codes3 } from "./3xxx.js";
import { codes4 } from "./4xxx.js";
import { codes5 } from "./5xxx.js";
import { codes6 } from "./6xxx.js";
import { codes7 } from "./7xxx.js";
import { codes9 } from "./9xxx.js";

export interface CodeText {
  readonly title: string;
  readonly text: string;
}

export const codes = { ...codes1, ...codes2, ...codes3, ...codes4, ...codes5, ...codes6, ...codes7, ...codes9 } as const satisfies Record<
  string,
  CodeText
>;

export type Code = keyof typeof codes;
