/* Reads goldens, as text and as numbers: C99, little-endian machines. Free what is returned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *fail(const char *what) { fprintf(stderr, "missing or broken: %s\n", what), exit(2); }

static char *read_file(const char *folder, const char *name, size_t *size) {
    char path[1024], *bytes = calloc(1 << 24, 1); /* 16 MiB: the largest file has 2.4 */
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || !bytes) fail(path);
    *size = fread(bytes, 1, (1 << 24) - 1, file); /* a zero stays behind them */
    fclose(file);
    return bytes;
}

static char *after(char *text, const char *key, const char *end) { /* and before an end */
    char *found = strstr(text, key);
    return found && strstr(found, end) ? found + strlen(key) : fail(key);
}

static double *read_array(const char *folder, const char *text, size_t *count) {
    char name[64], dtype[16] = "";
    size_t offset, size, n[4] = {1, 1, 1, 1}; /* no golden has more axes */
    int known = 0;
    sscanf(text, "{\"file\": \"%63[^\"]\", \"offset\": %zu, \"dtype\": \"%15[^\"]\", \"shape\": [%n"
           "%zu, %zu, %zu, %zu", name, &offset, dtype, &known, n, n + 1, n + 2, n + 3);
    int single = !strcmp(dtype, "float32"), whole = !strcmp(dtype, "int64");
    if (!known || !(single || whole || !strcmp(dtype, "float64"))) fail(known ? dtype : text);
    char *bytes = read_file(folder, name, &size);
    *count = n[0] * n[1] * n[2] * n[3];
    if (offset % 8 || offset > size || *count > (size - offset) / (single ? 4 : 8)) fail(name);
    const void *at = bytes + offset;
    double *values = calloc(*count + 1, sizeof *values);
    for (size_t i = 0; i < *count; i++)
        values[i] = single ? ((float *)at)[i] : whole ? ((long long *)at)[i] : ((double *)at)[i];
    free(bytes);
    return values;
}
