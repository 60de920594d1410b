/* Exchange the two names of each pair on the command line, again and again: a directory and a link that take turns.
   rename(2) leaves a moment at which neither is there; RENAME_EXCHANGE leaves none. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    for (;; usleep(20)) /* the others here need a processor too */
        for (int at = 1; at + 1 < argc; at += 2)
            renameat2(AT_FDCWD, argv[at], AT_FDCWD, argv[at + 1], RENAME_EXCHANGE); /* fails while one is replaced */
}
