/* Standard input in capitals, an ordinary C program: streams any length. */
#include <ctype.h>
#include <stdio.h>

int main(void)
{
    char line[4096];
    size_t n, total = 0;
    while ((n = fread(line, 1, sizeof line, stdin)) > 0) {
        for (size_t i = 0; i < n; i++)
            line[i] = (char)toupper((unsigned char)line[i]);
        if (fwrite(line, 1, n, stdout) != n)
            return 1;
        total += n;
    }
    fprintf(stderr, "%zu bytes\n", total);
    return 0;
}
