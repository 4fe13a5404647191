/* A disk that fails when it is told to: loaded before the C library (LD_PRELOAD).

   Calls that concern files below a folder are counted across all processes that share the
   settings, which are a mapped file, so "the k-th call" is one of the whole run. See bad_disk.py,
   whose `Settings` has the same layout. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, WRITE = 2, SYNC = 4, NAME = 8, CLOSE = 16, LOOK = 32 };
enum { OFF, ONCE, FROM_THEN_ON, SHORT, SHORT_THEN_FULL, ABSENT };
enum { PASS, FAIL, HALVE };

struct settings {
    long count;   /* calls so far */
    long k;       /* the one that fails, from 1 */
    int mode;
    int error;    /* errno */
    int calls;    /* which are counted and fail */
    int failed;   /* how many have failed */
    char folder[1024];
    char call[32];   /* the first that failed, */
    char path[1024]; /* and on what */
    char absent[1024]; /* what a stale cache says is not there; "" if nothing */
    unsigned long known[1 << 14]; /* hashes of the names that this host has seen */
};

static struct settings *settings;

#define REAL(result, name, ...) static result (*real_##name)(__VA_ARGS__)
REAL(int, open64, const char *, int, ...);
REAL(int, openat64, int, const char *, int, ...);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
REAL(size_t, fwrite, const void *, size_t, size_t, FILE *);
REAL(int, fclose, FILE *);
REAL(int, ftruncate64, int, off_t);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, close, int);
REAL(int, rename, const char *, const char *);
REAL(int, link, const char *, const char *);
REAL(int, linkat, int, const char *, int, const char *, int);
REAL(int, unlink, const char *);
REAL(int, unlinkat, int, const char *, int);
REAL(int, rmdir, const char *);
REAL(int, mkdir, const char *, mode_t);
REAL(int, utimensat, int, const char *, const struct timespec *, int);
REAL(ssize_t, sendfile64, int, int, off_t *, size_t);
REAL(ssize_t, copy_file_range, int, off_t *, int, off_t *, size_t, unsigned);
REAL(int, stat64, const char *, struct stat64 *);
REAL(int, lstat64, const char *, struct stat64 *);
REAL(int, fstatat64, int, const char *, struct stat64 *, int);
REAL(int, access, const char *, int);
REAL(DIR *, opendir, const char *);

/* Found when it is first needed: other libraries begin before this one. */
#define CALL(name) \
    (real_##name ? real_##name : (*(void **)&real_##name = dlsym(RTLD_NEXT, #name), real_##name))

void bad_disk_attach(const char *file) {
    int fd = CALL(open64)(file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *memory = mmap(NULL, sizeof(struct settings), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CALL(close)(fd);
    if (memory != MAP_FAILED) settings = memory;
}

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("BAD_DISK");
    if (file) bad_disk_attach(file);
}

/* -- which file ------------------------------------------------------------------------------- */

static int name_of_fd(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, size - 1);
    path[n < 0 ? 0 : n] = 0;
    return n > 0;
}

static void full_name(int folder, const char *name, char *path, size_t size) {
    char base[1024] = "";
    if (name[0] == '/') {
        snprintf(path, size, "%s", name);
        return;
    }
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) base[0] = 0;
    } else
        name_of_fd(folder, base, sizeof base);
    snprintf(path, size, "%.1000s/%.1000s", base, name);
}

static int is_below(const char *path, const char *folder) {
    size_t n = strlen(folder);
    return n && !strncmp(path, folder, n) && (path[n] == '/' || path[n] == 0);
}

/* -- what becomes of a call ------------------------------------------------------------------- */

static int fate_of(int call, const char *name, const char *path) {
    struct settings *s = settings;
    if (!is_below(path, s->folder) || !(s->calls & call)) return PASS;
    long n = __atomic_add_fetch(&s->count, 1, __ATOMIC_SEQ_CST);
    if (n < s->k || (n > s->k && (s->mode == ONCE || s->mode == SHORT))) return PASS;
    if (n == s->k) {
        snprintf(s->call, sizeof s->call, "%s", name);
        snprintf(s->path, sizeof s->path, "%s", path);
    }
    int is_short = s->mode == SHORT || s->mode == SHORT_THEN_FULL;
    if (n == s->k && is_short) return HALVE;
    __atomic_add_fetch(&s->failed, 1, __ATOMIC_SEQ_CST);
    errno = s->error;
    return FAIL;
}

static int is_armed(void) { return settings && settings->mode != OFF && settings->mode != ABSENT; }

static int fate_of_fd(int call, const char *name, int fd) {
    char path[1100];
    int before = errno;
    if (!is_armed() || !name_of_fd(fd, path, sizeof path)) return PASS;
    errno = before;
    return fate_of(call, name, path);
}

static int fate_of_name(int call, const char *name, int folder, const char *file) {
    char path[2100];
    if (!is_armed() || !file) return PASS;
    full_name(folder, file, path, sizeof path);
    return fate_of(call, name, path);
}

static int fate_of_open(int folder, const char *file, int flags) {
    if (!is_armed() || !(flags & (O_CREAT | O_TRUNC))) return PASS;
    struct stat64 found;
    int before = errno;
    /* Where there are no inodes left, what exists can be opened all the same. */
    int is_new = CALL(fstatat64)(folder, file, &found, 0) != 0;
    errno = before;
    return fate_of_name(is_new ? CREATE : NAME, "open", folder, file);
}

/* -- a cached absence ------------------------------------------------------------------------- */

static int is_new(const char *path) {
    /* Only what this host has not seen yet can be absent in its cache. */
    unsigned long hash = 5381, n = sizeof settings->known / sizeof *settings->known;
    for (const char *c = path; *c; c++) hash = hash * 33 + (unsigned char)*c;
    unsigned long *place = &settings->known[hash % n];
    while (*place && *place != hash)
        if (++place == settings->known + n) place = settings->known;
    if (*place == hash) return 0;
    *place = hash;
    return 1;
}

static void know(int folder, const char *file) {
    /* What this host itself makes, it knows. */
    char path[2100];
    if (!settings || settings->mode != ABSENT) return;
    full_name(folder, file, path, sizeof path);
    is_new(path);
    if (is_below(settings->absent, path)) settings->absent[0] = 0;
}

static void look_into(const char *path) {
    /* Opening a folder asks the server whether it has changed, if its own name is known. */
    char *absent = settings->absent;
    size_t n = strlen(path);
    if (is_below(absent, path) && absent[n] == '/' && !strchr(absent + n + 1, '/')) absent[0] = 0;
}

static int is_absent(int folder, const char *file, int is_opened_folder) {
    char path[2100];
    struct settings *s = settings;
    if (!s || s->mode != ABSENT || !file) return 0;
    full_name(folder, file, path, sizeof path);
    if (!is_below(path, s->folder)) {
        if (is_opened_folder) look_into(path);
        return 0;
    }
    if (!s->absent[0] && !s->path[0]) {
        struct stat64 found;
        int before = errno;
        int is_there = CALL(stat64)(path, &found) == 0;
        errno = before;
        if (is_there && is_new(path) && __atomic_add_fetch(&s->count, 1, __ATOMIC_SEQ_CST) == s->k) {
            snprintf(s->absent, sizeof s->absent, "%.1000s", path);
            snprintf(s->path, sizeof s->path, "%.1000s", path);
        }
    }
    if (s->absent[0] && is_below(path, s->absent)) {
        s->failed++;
        errno = ENOENT;
        return 1;
    }
    if (is_opened_folder) look_into(path);
    return 0;
}

static int is_folder(int folder, const char *file) {
    struct stat64 found;
    int before = errno;
    int answer = CALL(fstatat64)(folder, file, &found, 0) == 0 && S_ISDIR(found.st_mode);
    errno = before;
    return answer;
}

/* -- calls ------------------------------------------------------------------------------------ */

static int open_in(int folder, const char *file, int flags, mode_t mode) {
    if (fate_of_open(folder, file, flags) == FAIL) return -1;
    if (flags & O_CREAT)
        know(folder, file);
    else if (is_absent(folder, file, is_folder(folder, file)))
        return -1;
    return CALL(openat64)(folder, file, flags, mode);
}

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *file, int flags, ...) {
    MODE_OF(flags)
    return open_in(AT_FDCWD, file, flags, mode);
}

int open64(const char *file, int flags, ...) {
    MODE_OF(flags)
    return open_in(AT_FDCWD, file, flags, mode);
}

int openat(int folder, const char *file, int flags, ...) {
    MODE_OF(flags)
    return open_in(folder, file, flags, mode);
}

int openat64(int folder, const char *file, int flags, ...) {
    MODE_OF(flags)
    return open_in(folder, file, flags, mode);
}

ssize_t write(int fd, const void *data, size_t size) {
    int fate = fate_of_fd(WRITE, "write", fd);
    if (fate == FAIL) return -1;
    return CALL(write)(fd, data, fate == HALVE && size > 1 ? size / 2 : size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t place) {
    int fate = fate_of_fd(WRITE, "pwrite", fd);
    if (fate == FAIL) return -1;
    return CALL(pwrite64)(fd, data, fate == HALVE && size > 1 ? size / 2 : size, place);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
    return pwrite64(fd, data, size, place);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    int fate = fate_of_fd(WRITE, "writev", fd);
    if (fate == FAIL) return -1;
    return CALL(writev)(fd, parts, fate == HALVE && n > 1 ? n / 2 : n);
}

size_t fwrite(const void *data, size_t size, size_t n, FILE *file) {
    /* A full buffer that cannot be written is told here, the last one by fclose. */
    if (size * n > BUFSIZ && fate_of_fd(WRITE, "fwrite", fileno(file)) == FAIL) return 0;
    return CALL(fwrite)(data, size, n, file);
}

int fclose(FILE *file) {
    if (__fwriting(file) && __fpending(file) &&
        fate_of_fd(WRITE, "fclose", fileno(file)) == FAIL) {
        int error = errno;
        __fpurge(file);
        CALL(fclose)(file);
        errno = error;
        return EOF;
    }
    return CALL(fclose)(file);
}

int ftruncate64(int fd, off_t size) {
    return fate_of_fd(WRITE, "ftruncate", fd) == FAIL ? -1 : CALL(ftruncate64)(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

ssize_t sendfile64(int out, int in, off_t *place, size_t size) {
    return fate_of_fd(WRITE, "sendfile", out) == FAIL ? -1 : CALL(sendfile64)(out, in, place, size);
}

ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t size, unsigned flags) {
    if (fate_of_fd(WRITE, "copy_file_range", out) == FAIL) return -1;
    return CALL(copy_file_range)(in, from, out, to, size, flags);
}

int fsync(int fd) { return fate_of_fd(SYNC, "fsync", fd) == FAIL ? -1 : CALL(fsync)(fd); }

int fdatasync(int fd) {
    return fate_of_fd(SYNC, "fdatasync", fd) == FAIL ? -1 : CALL(fdatasync)(fd);
}

int close(int fd) {
    int before = errno;
    int flags = is_armed() ? fcntl(fd, F_GETFL) : -1;
    errno = before;
    int is_written = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
    int fate = is_written ? fate_of_fd(CLOSE, "close", fd) : PASS;
    int error = errno;
    int result = CALL(close)(fd); /* also if it tells of an error, the number is free */
    if (fate != FAIL) return result;
    errno = error;
    return -1;
}

int rename(const char *from, const char *to) {
    if (fate_of_name(NAME, "rename", AT_FDCWD, to) == FAIL) return -1;
    know(AT_FDCWD, to);
    return CALL(rename)(from, to);
}

int link(const char *from, const char *to) {
    if (fate_of_name(CREATE, "link", AT_FDCWD, to) == FAIL) return -1;
    know(AT_FDCWD, to);
    return CALL(link)(from, to);
}

int linkat(int old_folder, const char *from, int folder, const char *to, int flags) {
    if (fate_of_name(CREATE, "link", folder, to) == FAIL) return -1;
    know(folder, to);
    return CALL(linkat)(old_folder, from, folder, to, flags);
}

int unlink(const char *file) {
    return fate_of_name(NAME, "unlink", AT_FDCWD, file) == FAIL ? -1 : CALL(unlink)(file);
}

int unlinkat(int folder, const char *file, int flags) {
    if (fate_of_name(NAME, "unlink", folder, file) == FAIL) return -1;
    return CALL(unlinkat)(folder, file, flags);
}

int rmdir(const char *file) {
    return fate_of_name(NAME, "rmdir", AT_FDCWD, file) == FAIL ? -1 : CALL(rmdir)(file);
}

int mkdir(const char *file, mode_t mode) {
    struct stat64 found;
    if (is_armed() && CALL(stat64)(file, &found) != 0 &&
        fate_of_name(CREATE, "mkdir", AT_FDCWD, file) == FAIL)
        return -1;
    know(AT_FDCWD, file);
    return CALL(mkdir)(file, mode);
}

int utimensat(int folder, const char *file, const struct timespec times[2], int flags) {
    if (fate_of_name(NAME, "utimensat", folder, file) == FAIL) return -1;
    if (is_absent(folder, file, 0)) return -1;
    return CALL(utimensat)(folder, file, times, flags);
}

int stat64(const char *file, struct stat64 *found) {
    return is_absent(AT_FDCWD, file, 0) ? -1 : CALL(stat64)(file, found);
}

int stat(const char *file, struct stat *found) {
    return stat64(file, (struct stat64 *)found);
}

int lstat64(const char *file, struct stat64 *found) {
    return is_absent(AT_FDCWD, file, 0) ? -1 : CALL(lstat64)(file, found);
}

int fstatat64(int folder, const char *file, struct stat64 *found, int flags) {
    if (file[0] && is_absent(folder, file, 0)) return -1;
    return CALL(fstatat64)(folder, file, found, flags);
}

int access(const char *file, int mode) {
    return is_absent(AT_FDCWD, file, 0) ? -1 : CALL(access)(file, mode);
}

DIR *opendir(const char *file) {
    return is_absent(AT_FDCWD, file, 1) ? NULL : CALL(opendir)(file);
}
