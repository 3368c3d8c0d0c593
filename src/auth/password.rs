//! Hashes of passwords: ours with Argon2id, and those of `htpasswd` files with bcrypt and SHA-crypt.
//!
//! Hashing takes a thread some 20 ms and 19 MiB, so the number at a time is bounded, and so is the number of those who
//! wait. An unknown user costs as much as a wrong password.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;

/// Memory of one hash in KiB, passes and lanes: the first choice of OWASP's cheat sheet on password storage.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at a time: 76 MiB.
const HASHES_MAX: usize = 4;
/// Those who wait for one; each waits some tenths of a second at most.
const WAITING_MAX: usize = 64;
/// So long a hash may wait for its turn.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A password; a longer one is refused before it is hashed. ASVS asks for at least 64 characters, at most 128 are needed.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// The shortest password that is set here (ASVS 6.2.1).
pub const PASSWORD_CHARS_MIN: usize = 8;

/// What a password of nobody is compared with.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("a password that nobody has"));

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within the bounds of Argon2");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The hash of a password, with a fresh salt, as a PHC string. Takes its time.
pub fn hash(password: &str) -> String {
    let salt = crate::base::random_bytes::<16>();
    let hashed: PasswordHash = argon2()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .expect("a password and a salt of bounded length can be hashed");
    hashed.to_string()
}

/// Whether a password is that of a hash. Takes its time, also for hashes that cannot be read.
pub fn matches(password: &str, hash: &str) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    match Scheme::of(hash) {
        Some(Scheme::Argon2) => {
            PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
        }
        Some(Scheme::Bcrypt) => bcrypt::verify(password, hash).unwrap_or(false),
        Some(Scheme::ShaCrypt) => sha_crypt_matches(password, hash),
        None => false,
    }
}

fn sha_crypt_matches(password: &str, hash: &str) -> bool {
    sha_crypt::ShaCrypt::default().verify_password(password.as_bytes(), hash).is_ok()
}

/// How a password was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Argon2,
    Bcrypt,
    ShaCrypt,
}

impl Scheme {
    /// That of a hash; none if we do not check such hashes.
    pub fn of(hash: &str) -> Option<Self> {
        let id = hash.strip_prefix('$')?.split('$').next()?;
        match id {
            "argon2id" | "argon2i" | "argon2d" => Some(Self::Argon2),
            "2a" | "2b" | "2x" | "2y" => Some(Self::Bcrypt),
            "5" | "6" => Some(Self::ShaCrypt),
            _ => None,
        }
    }
}

/// Does the work, a bounded amount at a time.
#[derive(Clone, Debug)]
pub(super) struct Hasher {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// More want to log in than can be checked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Default for Hasher {
    fn default() -> Self {
        let (running, waiting) = (Semaphore::new(HASHES_MAX), Semaphore::new(WAITING_MAX));
        Self { running: Arc::new(running), waiting: Arc::new(waiting) }
    }
}

impl Hasher {
    /// Whether a password is that of a hash; without a hash the answer is no, after the same time.
    pub async fn check(&self, password: String, hash: Option<String>) -> Result<bool, TooMany> {
        let _place = self.waiting.try_acquire().map_err(|_| TooMany)?;
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.running).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(TooMany) };
        let known = hash.is_some();
        let checked = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also if nobody waits for it any more.
            let _turn = turn;
            matches(&password, hash.as_deref().unwrap_or(&NOBODY))
        });
        Ok(checked.await.unwrap_or(false) && known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_says_how_it_was_made_and_fits_its_password_only() {
        let made = hash("correct horse");
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        assert!(matches("correct horse", &made) && !matches("correct horsf", &made) && !matches("", &made));
        assert_ne!(made, hash("correct horse"), "each has a salt of its own");
        assert!(!matches(&"x".repeat(PASSWORD_BYTES_MAX + 1), &hash(&"x".repeat(PASSWORD_BYTES_MAX + 1))));
    }

    #[test]
    fn hashes_of_htpasswd_are_understood() {
        // htpasswd -nbB, -nb2 and -nb5 of Apache, and mkpasswd.
        let bcrypt = bcrypt::hash("secret", 5).unwrap();
        assert!(matches("secret", &bcrypt) && !matches("Secret", &bcrypt));
        // Made by the C library's `crypt`.
        let sha512 =
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
        assert!(matches("Hello world!", sha512) && !matches("Hello world", sha512));
        let sha256 = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
        assert!(matches("Hello world!", sha256));
        for unknown in ["$apr1$x$y", "{SHA}x", "", "plain", "$6$", "$2y$", "$argon2id$"] {
            assert!(!matches("plain", unknown), "{unknown}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_has_no_password() {
        let hasher = Hasher::default();
        assert_eq!(hasher.check("a password that nobody has".to_owned(), None).await, Ok(false));
        assert_eq!(hasher.check("x".to_owned(), Some(hash("x"))).await, Ok(true));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_than_can_wait_are_sent_away() {
        let hasher = Hasher::default();
        let _all = hasher.waiting.try_acquire_many(u32::try_from(WAITING_MAX).unwrap()).unwrap();
        assert_eq!(hasher.check("x".to_owned(), None).await, Err(TooMany));
    }
}
