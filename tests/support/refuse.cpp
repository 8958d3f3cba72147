// A system that refuses: preloaded, it lets one call of the C library fail with some errno for every file whose path
// holds some text, as REFUSE in the environment says at that moment, "call errno text"; without it nothing is refused.
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static bool refused(const char* call, const char* path) {
  const char* said = getenv("REFUSE");
  char name[32], text[1024];
  int number;
  if (!said || !path || sscanf(said, "%31s %d %1023s", name, &number, text) != 3) return false;
  if (strcmp(name, call) != 0 || !strstr(path, text)) return false;
  errno = number;
  return true;
}

static bool refused(const char* call, int file) {
  if (!getenv("REFUSE") || file < 0) return false;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = 0;
  return refused(call, path);
}

#define REAL(name) reinterpret_cast<decltype(&name)>(dlsym(RTLD_NEXT, #name))

extern "C" {
int flock(int file, int operation) noexcept { return refused("flock", file) ? -1 : REAL(flock)(file, operation); }

ssize_t read(int file, void* to, size_t size) { return refused("read", file) ? -1 : REAL(read)(file, to, size); }

ssize_t pread64(int file, void* to, size_t size, off64_t at) {
  return refused("read", file) ? -1 : REAL(pread64)(file, to, size, at);
}

ssize_t pread(int file, void* to, size_t size, off_t at) { return pread64(file, to, size, at); }

ssize_t preadv64(int file, const iovec* to, int count, off64_t at) {
  return refused("read", file) ? -1 : REAL(preadv64)(file, to, count, at);
}

ssize_t preadv(int file, const iovec* to, int count, off_t at) { return preadv64(file, to, count, at); }

void* mmap64(void* at, size_t size, int protection, int flags, int file, off64_t offset) noexcept {
  return refused("mmap", file) ? MAP_FAILED : REAL(mmap64)(at, size, protection, flags, file, offset);
}

void* mmap(void* at, size_t size, int protection, int flags, int file, off_t offset) noexcept {
  return mmap64(at, size, protection, flags, file, offset);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return refused("open", path) ? -1 : REAL(open64)(path, flags, mode);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open64(path, flags, mode);
}
}
