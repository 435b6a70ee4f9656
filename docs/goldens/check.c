/* Checks cos and sin of the naive formula against a golden case: ./check GOLDEN [ID] */
#include "reader.h"
#include <math.h>

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : fail("the folder of the goldens");
    const char *id = argc > 2 ? argv[2] : "cos_sin/default/exact/float32";
    char start[256];
    size_t size, tokens, pairs, count, sines;
    snprintf(start, sizeof start, "{\"id\": \"%s\", ", id);
    char *manifest = read_file(folder, "manifest.json", &size);
    char *line = strtok(after(manifest, start, "\n"), "\n"); /* ends where the case does */
    char *expected = after(line, "\"expected\": ", "\"tolerance\": ");
    double *ids = read_array(folder, after(line, "\"position_ids\": ", "\"expected\": "), &tokens);
    double *inv_freq = read_array(folder, after(line, "\"inv_freq\": ", "\"expected\": "), &pairs);
    double *cosine = read_array(folder, after(expected, "\"cos\": ", "\"tolerance\": "), &count);
    double *sine = read_array(folder, after(expected, "\"sin\": ", "\"tolerance\": "), &sines);
    if (!count || count != tokens * pairs || sines != count) fail("cos and sin of every pair");

    double factor = strtod(after(line, "\"attention_factor\": ", "\"arguments\": "), NULL);
    double worst = 0;
    for (size_t i = 0; i < count; i++) { /* row by row, pairs last */
        double angle = ids[i / pairs] * inv_freq[i % pairs];
        double error = hypot(factor * cos(angle) - cosine[i], factor * sin(angle) - sine[i]);
        error /= hypot(cosine[i], sine[i]);
        worst = isnan(error) ? INFINITY : fmax(worst, error);
    }
    double bound = strtod(after(expected, "\"bound\": ", "\"unit\": "), NULL);
    double eps = strncmp(after(expected, "\"unit\": ", "}"), "\"float32\"", 9) ? 0x1p-52 : 0x1p-23;
    printf("%zu pairs, worst %.6g eps, allowed %g\n", count, worst / eps, bound);
    free(ids), free(inv_freq), free(cosine), free(sine), free(manifest);
    return worst / eps <= bound ? 0 : 1;
}
