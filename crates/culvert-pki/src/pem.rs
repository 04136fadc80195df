//! PEM files of mixed content: the certificates and the private key in them.

use std::path::Path;

use rustls_pemfile::Item;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::PkiError;
use crate::files;

/// All certificates in a file, in its order; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let text = files::read(path)?;
    let found: Vec<_> = items(&text)
        .filter_map(|item| match item {
            Ok(Item::X509Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        let reason = "it holds no PEM certificate (-----BEGIN CERTIFICATE-----)".into();
        return Err(PkiError::Certificate {
            path: path.into(),
            reason,
        });
    }
    Ok(found)
}

/// The first private key in a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PkiError> {
    let text = files::read(path)?;
    let refuse = |reason: &str| {
        Err(PkiError::Key {
            path: path.into(),
            reason: reason.into(),
        })
    };
    if text.contains("ENCRYPTED") {
        return refuse(
            "it is encrypted. Decrypt a copy with `openssl pkcs8 -topk8 -nocrypt -in KEY -out PLAIN` and keep it safe",
        );
    }
    let found = items(&text).find_map(|item| match item {
        Ok(Item::Pkcs8Key(key)) => Some(PrivateKeyDer::Pkcs8(key)),
        Ok(Item::Pkcs1Key(key)) => Some(PrivateKeyDer::Pkcs1(key)),
        Ok(Item::Sec1Key(key)) => Some(PrivateKeyDer::Sec1(key)),
        _ => None,
    });
    match found {
        Some(key) => Ok(key),
        None => refuse("it holds no PEM private key (-----BEGIN PRIVATE KEY-----)"),
    }
}

fn items(text: &str) -> impl Iterator<Item = std::io::Result<Item>> {
    rustls_pemfile::read_all(&mut text.as_bytes())
        .collect::<Vec<_>>()
        .into_iter()
}

/// The certificates of a PEM text alone, without comments and anything else, for use in a profile.
pub(crate) fn certificates_only(text: &str) -> String {
    blocks(text, &["CERTIFICATE"])
}

/// The private key of a PEM text alone.
pub(crate) fn key_only(text: &str) -> String {
    blocks(text, &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])
}

/// The text's blocks with one of the labels, line for line.
fn blocks(text: &str, labels: &[&str]) -> String {
    let mut kept = String::new();
    let mut end: Option<String> = None;
    for line in text.lines().map(str::trim_end) {
        if end.is_none() {
            let label = line
                .strip_prefix("-----BEGIN ")
                .and_then(|rest| rest.strip_suffix("-----"));
            end = label
                .filter(|label| labels.contains(label))
                .map(|label| format!("-----END {label}-----"));
        }
        if let Some(last) = &end {
            kept.push_str(line);
            kept.push('\n');
            if line == last {
                end = None;
            }
        }
    }
    // A block that is cut off is no block.
    if end.is_some() { String::new() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn only_the_wanted_blocks_are_kept() {
        let text = format!(
            "Subject: x\r\n{CERTIFICATE}# between\n-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n{CERTIFICATE}"
        );
        assert_eq!(certificates_only(&text), CERTIFICATE.repeat(2));
        assert_eq!(
            key_only(&text),
            "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n"
        );
        assert_eq!(certificates_only("-----BEGIN CERTIFICATE-----\nAAAA"), "");
    }
}
