//! Returns freed memory to the operating system.
//!
//! The C library keeps what was freed, in an arena for every few threads. Each load of a large configuration runs on a
//! thread of its own, so without this each reload left another 50 MB behind.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "malloc_trim has no safe form; the call has its proof beside it")
)]

/// Returns what was freed. Takes some ten milliseconds, so it is for the end of something large.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointers, and any thread may call it at any time.
    let _ = unsafe { libc::malloc_trim(0) };
}
