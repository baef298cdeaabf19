import { quantizedBinary } from "./_binary.js";
import { addition } from "./_q.js";

/** See `addition`. */
export const cpuQadd = quantizedBinary("cpu.qadd", "a + b on 8-bit operands, broadcast", false, addition);
