/* Make each system call of the command line, by its number, with arguments that fit none; print the number and what
   came back.  The first argument says how: 64 by syscall, 32 by int 0x80 as i386 has it, x32 with that bit.
   Each in a process of its own: some would end it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long make(const char *how, long number)
{
#ifdef __x86_64__
    if (!strcmp(how, "32")) {
        long result;
        __asm__ volatile("int $0x80"
                         : "=a"(result)
                         : "a"(number), "b"(-1L), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
                         : "memory", "r8", "r9", "r10", "r11");
        return (int)result < 0 ? -(int)result : 0;
    }
    if (!strcmp(how, "x32"))
        number |= 0x40000000;
#endif
    errno = 0;
    return syscall(number, -1L, -1L, -1L, -1L, -1L, -1L) == -1 ? errno : 0;
}

int main(int argc, char **argv)
{
    for (int at = 2; at < argc; at++) {
        int result[2];
        if (pipe(result))
            return 1;
        if (fork() == 0) {
            int said = make(argv[1], atol(argv[at]));
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
