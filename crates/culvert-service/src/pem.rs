//! Writing PEM.

use data_encoding::BASE64;

/// Characters in a line of PEM.
const LINE: usize = 64;

/// Adds a block of PEM and nothing else.
///
/// Source: RFC 7468, section 3.
pub(crate) fn append(pem: &mut String, label: &str, der: &[u8]) {
    let text = BASE64.encode(der);
    let (begin, end) = ("-----BEGIN ", "-----END ");
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| pem.push_str(part));
    push(&[begin, label, "-----\n"]);
    let mut rest = text.as_str();
    while let Some((line, behind)) = rest.split_at_checked(LINE) {
        push(&[line, "\n"]);
        rest = behind;
    }
    if !rest.is_empty() {
        push(&[rest, "\n"]);
    }
    push(&[end, label, "-----\n"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_full_and_the_block_reads_back() {
        for length in [0, 1, 47, 48, 49, 96, 1000] {
            let der = vec![7; length];
            let mut pem = String::new();
            append(&mut pem, "CERTIFICATE", &der);
            assert!(
                pem.lines().all(|line| !line.is_empty() && line.len() <= LINE),
                "{pem}"
            );
            let read: Vec<_> = rustls_pemfile::certs(&mut pem.as_bytes()).collect();
            assert_eq!(read.len(), 1);
            assert_eq!(read[0].as_ref().unwrap().as_ref(), der.as_slice());
        }
    }
}
