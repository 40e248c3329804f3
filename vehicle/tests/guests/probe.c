/* What an ordinary C program finds of the world: nothing. Says it on standard output; the exit
 * code is the number of things that were there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int found;

static void absent(const char *what, int is_there)
{
    printf("%s: %s\n", what, is_there ? "there" : strerror(errno));
    found += is_there;
}

int main(int argc, char **argv)
{
    printf("args: %d %s\n", argc, argv[0]);
    absent("environment", getenv("PATH") != NULL);
    absent("passwd", fopen("/etc/passwd", "r") != NULL);
    absent("new file", open("x", O_CREAT | O_WRONLY, 0600) >= 0);
    absent("descriptor 3", write(3, "x", 1) >= 0);
    absent("seek in output", lseek(1, 0, SEEK_CUR) >= 0);
    absent("folder", mkdir("x", 0700) == 0);
    unsigned char random[8];
    if (getentropy(random, sizeof random) != 0)
        return 100;
    printf("random: ");
    for (int i = 0; i < 8; i++)
        printf("%02x", random[i]);
    time_t now = time(NULL);
    printf("\nyear: %d\n", 1900 + gmtime(&now)->tm_year);
    struct timespec before, after, hour = {3600, 0};
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&hour, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    printf("slept: %d s\n", (int)(after.tv_sec - before.tv_sec));
    return found;
}
