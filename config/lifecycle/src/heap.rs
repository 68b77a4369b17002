//! How the process's heap keeps freed memory.
#![expect(unsafe_code, reason = "one call that sets a number in the allocator, nothing else")]

/// Arenas of glibc's allocator. By default there are eight for each core, and each keeps what
/// was freed in it: a storm of fills under a budget of 512 MiB (`bench fill-storm`) peaked at
/// 1.14 of it, and at 0.99 with `MALLOC_ARENA_MAX=2`.
const ARENAS: libc::c_int = 2;

/// Keeps the number of heaps small, so that memory freed by one thread serves the others. Call
/// it before the first thread is started. Does nothing where the C library is not glibc.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt with M_ARENA_MAX takes no pointer and may be called at any time; a
        // value it does not like changes nothing.
        let set = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
        debug_assert_eq!(set, 1, "glibc takes any positive number");
    }
}
