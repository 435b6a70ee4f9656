/* Reads one golden case and checks cos and sin of the naive formula: ./reader GOLDEN [ID]
   JSON by its text: a case is a line, and an array is written as {"file": … "shape": […]}.
   For little-endian machines. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what) { fprintf(stderr, "%s: not found\n", what); exit(2); }

static char *after(char *text, const char *key) {
    char *found = text ? strstr(text, key) : NULL;
    if (!found) fail(key);
    return found + strlen(key);
}

/* Returns the numbers of an array of float64, float32 or int64 as doubles. */
static double *read_array(const char *folder, char *text, size_t *count) {
    char file[64], dtype[16], path[1024];
    long offset, size;
    const char *form = " {\"file\": \"%63[^\"]\", \"offset\": %ld, \"dtype\": \"%15[^\"]\"";
    if (sscanf(text, form, file, &offset, dtype) != 3) fail("array");
    *count = 1;
    for (char *at = after(text, "\"shape\": "); *at != ']';) *count *= strtoul(at + 1, &at, 10);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *stream = fopen(path, "rb");
    if (!stream || fseek(stream, offset, SEEK_SET)) fail(path);
    size = strcmp(dtype, "float32") ? 8 : 4;
    double *values = malloc(*count * sizeof *values);
    for (size_t i = 0; i < *count; i++) {
        union { double f64; float f32; long long i64; } bits;
        if (fread(&bits, size, 1, stream) != 1) fail(file);
        values[i] = size == 4 ? bits.f32 : strcmp(dtype, "int64") ? bits.f64 : (double)bits.i64;
    }
    fclose(stream);
    return values;
}

int main(int argc, char **argv) {
    static char line[1 << 20], wanted[256], path[1024];
    if (argc < 2) fail("folder");
    const char *id = argc > 2 ? argv[2] : "cos_sin/default/exact/float32";
    snprintf(wanted, sizeof wanted, "{\"id\": \"%s\", \"op\": \"cos_sin\"", id);
    snprintf(path, sizeof path, "%s/manifest.json", argv[1]);
    FILE *manifest = fopen(path, "r");
    if (!manifest) fail(path);
    do {
        if (!fgets(line, sizeof line, manifest)) fail(wanted);
    } while (strncmp(line, wanted, strlen(wanted)));
    fclose(manifest);

    size_t tokens, pairs, count;
    double *ids = read_array(argv[1], after(line, "\"position_ids\":"), &tokens);
    double *inv_freq = read_array(argv[1], after(line, "\"inv_freq\":"), &pairs);
    double *cosine = read_array(argv[1], after(line, "\"cos\":"), &count);
    double *sine = read_array(argv[1], after(line, "\"sin\":"), &count);
    double factor = strtod(after(line, "\"attention_factor\":"), NULL), worst = 0;
    for (size_t i = 0; i < tokens * pairs; i++) { /* row by row, pairs last */
        double angle = ids[i / pairs] * inv_freq[i % pairs];
        double error = hypot(factor * cos(angle) - cosine[i], factor * sin(angle) - sine[i]);
        worst = fmax(worst, error / hypot(cosine[i], sine[i]));
    }
    int single = !strncmp(after(line, "\"unit\": \""), "float32", 7);
    double eps = worst / (single ? 0x1p-23 : 0x1p-52);
    double bound = strtod(after(line, "\"bound\":"), NULL);
    printf("%zu pairs, worst %.6g eps, allowed %g\n", count, eps, bound);
    return eps <= bound ? 0 : 1;
}
