/* What a hostile program in a container tries against what is outside of it.  The first argument is the attempt; each
   prints one line for each thing tried, with the error number of the kernel, 0 for success. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    printf("%s %d\n", what, result == -1 ? errno : 0);
    fflush(stdout);
}

/* device b|c MAJOR MINOR...: make a node, open it if there is one */
static void device(char **words)
{
    for (; words[0]; words += 3) {
        mode_t kind = words[0][0] == 'b' ? S_IFBLK : S_IFCHR;
        unlink("/node");
        int made = mknod("/node", kind | 0666, makedev(atoi(words[1]), atoi(words[2])));
        say("mknod", made);
        if (made == 0)
            say("open", open("/node", O_RDONLY | O_NONBLOCK));
    }
}

/* trace PID...: of each, everything that reaches into a process */
static void trace(char **words)
{
    for (; *words; words++) {
        pid_t pid = atoi(*words);
        char byte, path[64];
        struct iovec own = {&byte, 1}, other = {(void *)0x400000, 1};
        say("seize", ptrace(PTRACE_SEIZE, pid, 0, 0));
        say("attach", ptrace(PTRACE_ATTACH, pid, 0, 0));
        say("read", process_vm_readv(pid, &own, 1, &other, 1, 0));
        say("signal", kill(pid, SIGSTOP));
        int process = syscall(SYS_pidfd_open, pid, 0);
        say("pidfd_getfd", process < 0 ? -1 : syscall(SYS_pidfd_getfd, process, 0, 0));
        snprintf(path, sizeof path, "/proc/%d/mem", pid);
        say("mem", open(path, O_RDWR));
        snprintf(path, sizeof path, "/proc/%d/root/etc", pid);
        say("root", open(path, O_RDONLY));
    }
}

/* abstract NAME listen|connect */
static void abstract(char **words)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", words[0]);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(words[0]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (strcmp(words[1], "listen"))
        say("connect", connect(fd, (struct sockaddr *)&address, size));
    else {
        say("bind", bind(fd, (struct sockaddr *)&address, size));
        listen(fd, 1);
        sleep(600);
    }
}

/* shared NUMBER make|find: System V's memory, semaphores and messages, a POSIX queue */
static void shared(char **words)
{
    key_t key = atoi(words[0]);
    int flags = strcmp(words[1], "make") ? 0 : IPC_CREAT | 0666;
    char name[32];
    snprintf(name, sizeof name, "/queue%d", key);
    say("shm", shmget(key, flags ? 4096 : 0, flags));
    say("sem", semget(key, flags ? 1 : 0, flags));
    say("msg", msgget(key, flags));
    say("mq", mq_open(name, O_RDWR | (flags ? O_CREAT : 0), 0666, NULL));
}

/* netlink INDEX: take an interface down by a raw message */
static void netlink(char **words)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {
        {sizeof request, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0},
        {AF_UNSPEC, 0, atoi(words[0]), 0, 1},
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[256];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    say("route", fd);
    send(fd, &request, sizeof request, 0);
    recv(fd, &answer, sizeof answer, 0);
    errno = -answer.error.error;
    say("down", errno ? -1 : 0);
    fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
    say("audit", fd);
    say("vsock", socket(40, SOCK_STREAM, 0));
    say("packet", socket(AF_PACKET, SOCK_RAW, 0));
    say("raw", socket(AF_INET, SOCK_RAW, 1));
}

/* flags: system calls that are allowed only with some arguments; those refused */
static void flags(char **words)
{
    int kinds[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP};
    (void)words;
    for (unsigned at = 0; at < sizeof kinds / sizeof *kinds; at++) {
        long child = syscall(SYS_clone, kinds[at] | SIGCHLD, 0, 0, 0, 0);
        if (child == 0)
            _exit(0);
        say("clone", child);
    }
    say("personality", syscall(SYS_personality, 0x0040000));
    say("clone3", syscall(435, 0, 0));
}

/* keyring: the serial number of the session's */
static void keyring(char **words)
{
    (void)words;
    printf("%ld\n", syscall(SYS_keyctl, 0, -3, 0));
}

int main(int argc, char **argv)
{
    struct {
        const char *name;
        void (*attempt)(char **);
    } known[] = {{"device", device}, {"trace", trace}, {"abstract", abstract}, {"shared", shared},
                 {"netlink", netlink}, {"flags", flags}, {"keyring", keyring}};
    for (unsigned at = 0; argc > 1 && at < sizeof known / sizeof *known; at++)
        if (!strcmp(argv[1], known[at].name)) {
            known[at].attempt(argv + 2);
            return 0;
        }
    return 2;
}
