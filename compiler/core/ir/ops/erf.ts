import { unary } from "./_elementwise.js";
import { erf as erfOf } from "./_special.js";

export const erf = unary("erf", "Gauss error function", erfOf, { flops: 16 });
