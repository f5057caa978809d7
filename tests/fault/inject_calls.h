/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inject_calls.h - every function outside the library that its objects call
 *
 * Those of INJECT_CALLS are redirected to inject.c in the objects that tests/fault links, and no
 * others: the Makefile takes the names from here, one a line. Those of INJECT_NEVER can't fail, or
 * not in a way that a process survives or could act on. A test holds the two lists against the
 * objects (test_inject_calls.c): a new call in src/ needs a decision here.
 */
#ifndef TEST_FAULT_INJECT_CALLS_H
#define TEST_FAULT_INJECT_CALLS_H

#define INJECT_CALLS(X)                                                                            \
	X(malloc)                                                                                  \
	X(calloc)                                                                                  \
	X(realloc)                                                                                 \
	X(aligned_alloc)                                                                           \
	X(free) /* counted, and never fails */                                                     \
	X(mmap)                                                                                    \
	X(munmap)                                                                                  \
	X(madvise)                                                                                 \
	X(memfd_create)                                                                            \
	X(ftruncate)                                                                               \
	X(fallocate)                                                                               \
	X(fcntl)                                                                                   \
	X(fstat)                                                                                   \
	X(stat)                                                                                    \
	X(lstat)                                                                                   \
	X(fstatfs)                                                                                 \
	X(access)                                                                                  \
	X(open)                                                                                    \
	X(close)                                                                                   \
	X(read)                                                                                    \
	X(fopen)                                                                                   \
	X(fgets)                                                                                   \
	X(fclose)                                                                                  \
	X(opendir)                                                                                 \
	X(readdir)                                                                                 \
	X(closedir)                                                                                \
	X(rename)                                                                                  \
	X(unlink)                                                                                  \
	X(fchmod)                                                                                  \
	X(getrlimit)                                                                               \
	X(getrandom)                                                                               \
	X(socket)                                                                                  \
	X(socketpair)                                                                              \
	X(bind)                                                                                    \
	X(listen)                                                                                  \
	X(connect)                                                                                 \
	X(accept4)                                                                                 \
	X(getsockopt)                                                                              \
	X(shutdown)                                                                                \
	X(sendmsg)                                                                                 \
	X(recv)                                                                                    \
	X(recvmsg)                                                                                 \
	X(poll)                                                                                    \
	X(eventfd)                                                                                 \
	X(syscall) /* futex, pidfd_open, move_pages */                                                \
	X(nanosleep)                                                                               \
	X(sched_getaffinity)                                                                       \
	X(pthread_create)                                                                          \
	X(pthread_key_create)                                                                      \
	X(pthread_setspecific)

#define MEMORY_ONLY "works on the caller's memory alone"
#define NO_ERROR "POSIX or the man page knows no failure of it"
#define IN_GLIBC "glibc's takes no resource, so only a wrong argument makes it fail"
#define RUNTIME "opens the Ascend runtime: the tests of ascend_open and the emulator's failures"
#define HWLOC "what it can't tell is one part; the tests of machine make it fail"

/* X(name, why it is not failed) */
#define INJECT_NEVER(X)                                                                            \
	X(memcpy, MEMORY_ONLY)                                                                     \
	X(memmove, MEMORY_ONLY)                                                                    \
	X(memset, MEMORY_ONLY)                                                                     \
	X(memcmp, MEMORY_ONLY)                                                                     \
	X(bcmp, MEMORY_ONLY)                                                                       \
	X(memchr, MEMORY_ONLY)                                                                     \
	X(strlen, MEMORY_ONLY)                                                                     \
	X(strnlen, MEMORY_ONLY)                                                                    \
	X(strchr, MEMORY_ONLY)                                                                     \
	X(strrchr, MEMORY_ONLY)                                                                    \
	X(strstr, MEMORY_ONLY)                                                                     \
	X(strcmp, MEMORY_ONLY)                                                                     \
	X(strncmp, MEMORY_ONLY)                                                                    \
	X(strcspn, MEMORY_ONLY)                                                                    \
	X(strcpy, MEMORY_ONLY)                                                                     \
	X(strcat, MEMORY_ONLY)                                                                     \
	X(stpcpy, MEMORY_ONLY)                                                                     \
	X(strtoul, MEMORY_ONLY)                                                                    \
	X(strtoull, MEMORY_ONLY)                                                                   \
	X(qsort, "sorts a few pairs; without memory it takes a way that needs none")               \
	X(sscanf, MEMORY_ONLY)                                                                     \
	X(snprintf, "%s and numbers take no memory")                                               \
	X(vsnprintf, "the same")                                                                   \
	X(fputs, "the log's; what it can't print is lost")                                         \
	X(fputc, "the same")                                                                       \
	X(fwrite, "the same")                                                                      \
	X(stderr, "a variable")                                                                    \
	X(environ, "a variable")                                                                   \
	X(getenv, NO_ERROR)                                                                        \
	X(strerrordesc_np, "constant text, or NULL, which is looked at")                           \
	X(getpid, NO_ERROR)                                                                        \
	X(geteuid, NO_ERROR)                                                                       \
	X(prctl, "of IPCSHARE_HARDEN: a filter takes it away in the tests of lacks")                \
	X(ioctl, "of SIOCOUTQ, to which Unix sockets always have an answer")                       \
	X(sched_yield, NO_ERROR)                                                                   \
	X(clock_gettime, "fails for a clock that is none")                                         \
	X(sysconf, "of the page size, the cores")                                                  \
	X(sigfillset, MEMORY_ONLY)                                                                 \
	X(pthread_sigmask, IN_GLIBC)                                                               \
	X(pthread_key_delete, IN_GLIBC)                                                                  \
	X(pthread_join, IN_GLIBC)                                                                  \
	X(pthread_mutex_init, IN_GLIBC)                                                            \
	X(pthread_mutex_destroy, IN_GLIBC)                                                         \
	X(pthread_mutex_lock, IN_GLIBC)                                                            \
	X(pthread_mutex_unlock, IN_GLIBC)                                                          \
	X(pthread_cond_init, IN_GLIBC)                                                             \
	X(pthread_cond_destroy, IN_GLIBC)                                                          \
	X(pthread_cond_wait, IN_GLIBC)                                                             \
	X(pthread_cond_broadcast, IN_GLIBC)                                                        \
	X(dup3, "in place of an open descriptor; if not, the next client that goes gives its own")  \
	X(eventfd_write, "blocks or fails only when the counter is full: it is 1 at most")         \
	X(hwloc_topology_init, HWLOC)                                                              \
	X(hwloc_topology_load, HWLOC)                                                              \
	X(hwloc_topology_destroy, HWLOC)                                                           \
	X(hwloc_topology_set_flags, HWLOC)                                                         \
	X(hwloc_topology_set_all_types_filter, HWLOC)                                              \
	X(hwloc_topology_set_type_filter, HWLOC)                                                   \
	X(hwloc_topology_set_io_types_filter, HWLOC)                                               \
	X(hwloc_topology_set_components, HWLOC)                                                    \
	X(hwloc_topology_is_thissystem, HWLOC)                                                     \
	X(hwloc_get_obj_by_depth, HWLOC)                                                           \
	X(hwloc_bitmap_first, HWLOC)                                                               \
	X(dlopen, RUNTIME)                                                                         \
	X(dlsym, RUNTIME)                                                                          \
	X(dlclose, RUNTIME)                                                                        \
	X(dlerror, RUNTIME)                                                                        \
	X(dladdr, RUNTIME)

#endif
