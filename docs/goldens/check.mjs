// Checks cos and sin of the naive formula against a golden case: node check.mjs GOLDEN [ID]
import { readArray, readCase } from "./reader.mjs";

const EPS = { float64: 2 ** -52, float32: 2 ** -23 };

// Prints the largest error, and returns whether it is allowed.
function check(folder, id = "cos_sin/default/exact/float32") {
  if (!folder) throw new Error("expected the folder of the goldens");
  const { options, arguments: given, expected, tolerance } = readCase(folder, id);
  const positions = readArray(folder, given, "position_ids");
  const frequencies = readArray(folder, given, "inv_freq");
  const [cos, sin] = ["cos", "sin"].map((name) => readArray(folder, expected, name));
  const angles = positions.flatMap((m) => frequencies.map((frequency) => m * frequency));
  if (!cos.length || cos.length !== angles.length || sin.length !== angles.length) {
    throw new Error(`${id}: expected cos and sin of every pair`);
  }
  const factor = options.attention_factor;
  const worst = angles.reduce((largest, angle, i) => {
    const error = Math.hypot(factor * Math.cos(angle) - cos[i], factor * Math.sin(angle) - sin[i]);
    return Math.max(largest, error / Math.hypot(cos[i], sin[i]));
  }, 0);
  const eps = worst / EPS[tolerance.unit];
  console.log(`${cos.length} pairs, worst ${eps} eps, allowed ${tolerance.bound}`);
  return eps <= tolerance.bound;
}

try {
  process.exitCode = check(...process.argv.slice(2)) ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
