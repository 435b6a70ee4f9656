// Reads one golden case and checks cos and sin of the naive formula: node reader.mjs GOLDEN [ID]
import { readFileSync } from "node:fs";
import { endianness } from "node:os";

const [folder, id = "cos_sin/default/exact/float32"] = process.argv.slice(2);
const { cases } = JSON.parse(readFileSync(`${folder}/manifest.json`, "utf8"));
const found = cases.find((one) => one.id === id && one.op === "cos_sin");
if (!found || endianness() !== "LE") throw new Error(`${id}: expected a case of cos_sin`);

const KINDS = { float64: Float64Array, float32: Float32Array, int64: BigInt64Array };

function read({ file, offset, dtype, shape }) {
  const Kind = KINDS[dtype];
  if (!Kind) throw new Error(`${dtype}: expected one of ${Object.keys(KINDS)}`);
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = readFileSync(`${folder}/${file}`);
  const start = bytes.byteOffset + offset;
  const end = start + count * Kind.BYTES_PER_ELEMENT;
  return Array.from(new Kind(bytes.buffer.slice(start, end)), Number); // positions are below 2**53
}

const positions = read(found.arguments.position_ids);
const frequencies = read(found.arguments.inv_freq);
const cos = read(found.expected.cos);
const sin = read(found.expected.sin);

const EPS = { float64: 2 ** -52, float32: 2 ** -23 };
const factor = found.options.attention_factor;
let worst = 0;
positions.forEach((m, token) => {
  frequencies.forEach((frequency, pair) => {
    const at = token * frequencies.length + pair; // row by row, pairs last
    const error = Math.hypot(
      factor * Math.cos(m * frequency) - cos[at],
      factor * Math.sin(m * frequency) - sin[at],
    );
    worst = Math.max(worst, error / Math.hypot(cos[at], sin[at]));
  });
});
const eps = worst / EPS[found.tolerance.unit];
console.log(`${cos.length} pairs, worst ${eps.toPrecision(6)} eps, allowed ${found.tolerance.bound}`);
process.exit(eps <= found.tolerance.bound ? 0 : 1);
