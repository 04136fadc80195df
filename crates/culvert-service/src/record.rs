//! The form in which resources are kept: JSON with the version of that form. It may hold a private key, so no copy of it
//! is left behind in memory.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use culvert_store::{Key, Value};

use crate::error::ServiceError;

/// The form written today. Raise it with every change of what is kept, and read the older ones.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a, T> {
    version: u32,
    content: &'a T,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
struct Read<T> {
    content: T,
}

/// A resource as it is kept under `key`.
///
/// # Errors
/// [`ServiceError::Record`].
pub(crate) fn write<T: Serialize>(key: &Key, content: &T) -> Result<Value, ServiceError> {
    let written = Written {
        version: VERSION,
        content,
    };
    let mut bytes = Wiped::default();
    serde_json::to_writer(&mut bytes, &written).map_err(|error| unreadable(key, error))?;
    // A value wipes itself.
    Ok(Value::from(std::mem::take(&mut *bytes.0)))
}

/// Bytes that are written one after another, and leave none behind where they grow out of their place.
#[derive(Default)]
struct Wiped(Zeroizing<Vec<u8>>);

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.len().saturating_add(bytes.len());
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.next_power_of_two().max(512)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is kept under `key`.
///
/// # Errors
/// [`ServiceError::Record`] if a newer program wrote it, or it was damaged.
pub(crate) fn read<T: DeserializeOwned>(key: &Key, value: &Value) -> Result<T, ServiceError> {
    let bytes = value.as_bytes();
    let Version { version } = serde_json::from_slice(bytes).map_err(|error| unreadable(key, error))?;
    if version != VERSION {
        let reason = format!("it has the form {version}, and this program reads {VERSION}: use a newer one");
        return Err(unreadable(key, reason));
    }
    let Read { content } = serde_json::from_slice(bytes).map_err(|error| unreadable(key, error))?;
    Ok(content)
}

fn unreadable(key: &Key, reason: impl ToString) -> ServiceError {
    ServiceError::Record {
        key: key.clone(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outgrows_its_place_is_written_whole() {
        let key = Key::from("/x");
        let long: Vec<String> = (0..1000).map(|number| format!("item {number}")).collect();
        let value = write(&key, &long).unwrap();
        assert_eq!(read::<Vec<String>>(&key, &value).unwrap(), long);
    }

    #[test]
    fn an_unknown_form_and_damage_are_named_with_their_key() {
        let key = Key::from("/endpoint/x");
        assert_eq!(read::<u8>(&key, &write(&key, &7u8).unwrap()).unwrap(), 7);
        let newer = Value::from(r#"{"version":2,"content":7}"#);
        let error = read::<u8>(&key, &newer).unwrap_err().to_string();
        assert!(
            error.contains("/endpoint/x") && error.contains("the form 2"),
            "{error}"
        );
        let damaged = read::<u8>(&key, &Value::from("{")).unwrap_err().to_string();
        assert!(damaged.contains("/endpoint/x"), "{damaged}");
    }
}
