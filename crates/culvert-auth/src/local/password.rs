//! Password hashes: argon2id in PHC string format, nothing else.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

use super::record::UsersError;

/// Most memory a hash may ask for, in KiB: 256 MiB. More would let one line of the file exhaust the machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;

/// Most passes a hash may ask for.
const MAX_PASSES: u32 = 64;

/// Hashes a password for the users file: argon2id, 19 MiB, 2 passes, random salt.
///
/// Takes some 20 ms of CPU time; not for a runtime's thread.
///
/// # Errors
/// [`UsersError::Password`] if it is empty, too long or the system has no randomness.
pub fn hash_password(password: &str) -> Result<String, UsersError> {
    if password.is_empty() {
        return Err(UsersError::Password("an empty password lets anyone in; give one"));
    }
    if password.len() > crate::backend::MAX_PASSWORD_BYTES {
        return Err(UsersError::Password("the password is too long"));
    }
    hasher()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| UsersError::Password("hashing failed; the system may lack randomness or memory"))
}

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Whether `password` belongs to `hash`, in constant time as far as the hash is concerned.
pub(super) fn matches(password: &str, hash: &PasswordHash) -> bool {
    hasher().verify_password(password.as_bytes(), hash).is_ok()
}

/// Works as hard as [`matches()`] would for a user like `model`, or for one with default parameters.
pub(super) fn pretend(password: &str, model: Option<&PasswordHash>) {
    let params = model
        .and_then(|hash| Params::try_from(hash).ok())
        .unwrap_or(Params::DEFAULT);
    let mut output = [0; 32];
    // The result is of no use; black_box keeps the optimiser from noticing.
    let _ = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        password.as_bytes(),
        b"nobody has this salt",
        &mut output,
    );
    std::hint::black_box(output);
}

/// Parses and vets a PHC string.
pub(super) fn parse(text: &str) -> Result<PasswordHash, &'static str> {
    let hash =
        PasswordHash::new(text).map_err(|_| "the password field is no PHC string ($argon2id$v=19$…)")?;
    if hash.algorithm.as_str() != "argon2id" {
        return Err("the password hash is not argon2id; set the password anew with `culvert user passwd`");
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("the password hash lacks its salt or its value");
    }
    let params = Params::try_from(&hash).map_err(|_| "the password hash has invalid parameters")?;
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
        return Err("the password hash asks for more than 256 MiB of memory or 64 passes");
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_password_only() {
        let text = hash_password("correct horse").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = parse(&text).unwrap();
        assert!(matches("correct horse", &hash));
        assert!(!matches("correct horse ", &hash));
        assert!(!matches("", &hash));
    }

    #[test]
    fn a_hash_made_by_the_reference_program_verifies() {
        // echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 (from the argon2 README's parameters)
        let hash =
            parse("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
                .unwrap();
        assert!(matches("password", &hash));
        assert!(!matches("Password", &hash));
    }

    #[test]
    fn weak_foreign_or_greedy_hashes_are_refused_with_a_reason() {
        for (text, reason) in [
            ("secret", "PHC"),
            ("$2b$12$abcdefghijklmnopqrstuv", "PHC"),
            (
                "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                "argon2id",
            ),
            ("$argon2id$v=19$m=65536,t=2,p=1", "lacks"),
            (
                "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                "256 MiB",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn empty_passwords_are_refused() {
        assert!(hash_password("").is_err());
    }
}
