/* glibc keeps memory that was freed for the thread that had it, in up to eight arenas a CPU. What a
 * worker has left is then of no use to who merges files after it: the peak is half as high again.
 * With an arena for two CPUs they share, and threads do not wait for each other (both measured).
 * https://man7.org/linux/man-pages/man3/mallopt.3.html
 *
 * In C because the program has no unsafe Rust. */
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void share_arenas(void) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (getenv("MALLOC_ARENA_MAX") == NULL) {
        mallopt(M_ARENA_MAX, cpus < 4 ? 1 : (int)(cpus / 2));
    }
}
