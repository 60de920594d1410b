/* Make each system call named on the command line, as NAME=NUMBER, with arguments that fit none; print what came back.
   Each in a process of its own: some would end it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    for (int at = 1; at < argc; at++) {
        char *number = strchr(argv[at], '=');
        *number++ = 0;
        int result[2];
        if (pipe(result))
            return 1;
        if (fork() == 0) {
            errno = 0;
            long value = syscall(atol(number), -1L, -1L, -1L, -1L, -1L, -1L);
            int said = value == -1 ? errno : 0;
            if (write(result[1], &said, sizeof said) < 0)
                _exit(1);
            _exit(0);
        }
        int said = -1;
        close(result[1]);
        if (read(result[0], &said, sizeof said) < 0)
            return 1;
        close(result[0]);
        wait(NULL);
        printf("%s %d\n", argv[at], said);
    }
    return 0;
}
