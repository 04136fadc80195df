//! Reading the files that commands name, within bounds.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Most bytes of a file: a revocation list of 20,000 entries fits several times over.
const MOST: u64 = 4 << 20;
/// Letters in a line of PEM.
const LINE: usize = 64;

/// The text in a file, which may be a secret.
pub(crate) fn text(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    // Room for all of it: a buffer that grows leaves copies behind.
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let room = usize::try_from(size.min(MOST))
        .unwrap_or_default()
        .saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(MOST + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {name}"))?;
    let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
    ensure!(
        size <= MOST,
        "{name} has more than {MOST} bytes: is it the right file?"
    );
    Ok(text)
}

/// The certificates in a PEM file, DER, at least one.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let text = text(path)?;
    let name = path.display();
    let ders = rustls_pemfile::certs(&mut text.as_bytes())
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("{name} can't be read as PEM"))?;
    ensure!(
        !ders.is_empty(),
        "{name} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
    );
    Ok(ders)
}

/// Certificates as PEM.
pub(crate) fn pem(ders: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for der in ders {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = BASE64.encode(der);
        while !rest.is_empty() {
            let next = rest.split_off(rest.len().min(LINE));
            text.push_str(&rest);
            text.push('\n');
            rest = next;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.pem");
        let ders = vec![vec![7; 100], vec![1], vec![0xff; 48]];
        std::fs::write(&path, format!("subject=x\n{}", pem(&ders))).unwrap();
        assert_eq!(certificates(&path).unwrap(), ders);
        assert!(pem(&ders).lines().all(|line| line.len() <= LINE));
    }

    #[test]
    fn other_files_are_refused_with_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        assert!(certificates(&path).unwrap_err().to_string().contains("key.pem"));
        std::fs::write(&path, "nothing").unwrap();
        assert!(
            certificates(&path)
                .unwrap_err()
                .to_string()
                .contains("holds no certificate")
        );
        std::fs::write(&path, vec![b'a'; 5 << 20]).unwrap();
        assert!(text(&path).unwrap_err().to_string().contains("has more than"));
    }
}
