//! Writing key method 2 messages, each into one buffer that is allocated once and wiped when dropped.

use zeroize::Zeroizing;

use super::{CLIENT_FIXED, Dialect, KeyMethod2Client, KeyMethod2Server, MAX_LEN, MAX_OPTIONS};
use crate::EncodeError;

impl KeyMethod2Client {
    /// The message on the wire, in the dialect it names.
    ///
    /// # Errors
    /// [`EncodeError`] if a string contains NUL or is too long for its length field, the options string is beyond
    /// [`MAX_OPTIONS`], or the whole is beyond [`MAX_LEN`].
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
        check_options(&self.options)?;
        let peer_info = (!self.peer_info.is_empty()).then(|| self.peer_info.as_str());
        let strings = [
            ("the options string", Some(self.options.as_str())),
            ("the user name", self.username.as_deref()),
            (
                "the password",
                self.password.as_ref().map(|password| password.as_str()),
            ),
            ("the peer info", peer_info),
        ];
        let width = match self.dialect {
            Dialect::Stock => 2,
            Dialect::Aws => 4,
        };
        let len = CLIENT_FIXED
            + strings
                .iter()
                .map(|(_, text)| width + text.map_or(0, |t| t.len() + 1))
                .sum::<usize>();
        if len > MAX_LEN {
            return Err(EncodeError::TooLong {
                what: "the key exchange message",
                len,
                max: MAX_LEN,
            });
        }
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        match self.dialect {
            Dialect::Stock => out.extend_from_slice(&[0; 4]),
            Dialect::Aws => out.extend_from_slice(&(len as u32).to_le_bytes()),
        }
        out.push(2);
        out.extend_from_slice(&*self.pre_master);
        out.extend_from_slice(&*self.random1);
        out.extend_from_slice(&*self.random2);
        for (what, text) in strings {
            string(&mut out, what, text, self.dialect)?;
        }
        Ok(out)
    }
}

impl KeyMethod2Server {
    /// The message on the wire, always in the stock dialect, which AWS clients accept.
    ///
    /// # Errors
    /// [`EncodeError`] if the options string contains NUL, is empty or is beyond [`MAX_OPTIONS`].
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
        check_options(&self.options)?;
        if self.options.is_empty() {
            return Err(EncodeError::Empty("the options string"));
        }
        let mut out = Zeroizing::new(Vec::with_capacity(4 + 1 + 64 + 8 + self.options.len() + 1));
        out.extend_from_slice(&[0, 0, 0, 0, 2]);
        out.extend_from_slice(&*self.random1);
        out.extend_from_slice(&*self.random2);
        string(
            &mut out,
            "the options string",
            Some(&self.options),
            Dialect::Stock,
        )?;
        out.extend_from_slice(&[0; 6]);
        Ok(out)
    }
}

/// Refuses an options string that the other side's decoder would refuse.
fn check_options(options: &str) -> Result<(), EncodeError> {
    if options.len() > MAX_OPTIONS {
        return Err(EncodeError::TooLong {
            what: "the options string",
            len: options.len(),
            max: MAX_OPTIONS,
        });
    }
    Ok(())
}

fn string(
    out: &mut Vec<u8>,
    what: &'static str,
    text: Option<&str>,
    dialect: Dialect,
) -> Result<(), EncodeError> {
    if text.is_some_and(|text| text.contains('\0')) {
        return Err(EncodeError::Forbidden {
            what,
            character: '\0',
        });
    }
    let len = text.map_or(0, |text| text.len() + 1);
    match dialect {
        Dialect::Stock => {
            let too_long = EncodeError::TooLong {
                what,
                len,
                max: usize::from(u16::MAX),
            };
            out.extend_from_slice(&u16::try_from(len).map_err(|_| too_long)?.to_be_bytes());
        }
        Dialect::Aws => out.extend_from_slice(&(len as u32).to_be_bytes()),
    }
    if let Some(text) = text {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    }
    Ok(())
}
