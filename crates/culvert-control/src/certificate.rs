//! What the rest of the daemon wants to know about a peer's certificate, copied out of its DER.

use std::fmt;

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate};

/// A certificate could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is not readable X.509 ({reason}); issue it again")]
pub struct CertificateUnreadable {
    /// What the parser said.
    pub reason: String,
}

/// The identity in a leaf certificate.
///
/// Owned, so that a session can keep it long after the TLS connection is gone.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The last common name of the subject, empty if there is none. The last one is what OpenVPN takes.
    pub common_name: String,
    /// The whole subject in one line, for people: `C=DE, O=Example, CN=alice`.
    pub subject: String,
    /// Organizational units of the subject, in their order.
    pub organizational_units: Vec<String>,
    /// Organizations of the subject, in their order.
    pub organizations: Vec<String>,
    /// The issuer's name, raw DER. Together with `serial` this identifies the certificate to a CRL.
    pub issuer_raw: Vec<u8>,
    /// The serial number's magnitude, big-endian, without leading zero bytes.
    pub serial: Vec<u8>,
    /// SHA-256 over the DER of the certificate.
    pub fingerprint_sha256: [u8; 32],
    /// Start of validity, Unix seconds.
    pub not_before: i64,
    /// End of validity, Unix seconds.
    pub not_after: i64,
}

impl CertificateInfo {
    /// Reads the leaf certificate in `der`.
    ///
    /// # Errors
    /// [`CertificateUnreadable`] when it is not X.509 v1 to v3 DER.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Self, CertificateUnreadable> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| CertificateUnreadable {
            reason: error.to_string(),
        })?;
        let subject = certificate.subject();
        let common_name = subject
            .iter_common_name()
            .last()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned();
        let texts = |attributes: &mut dyn Iterator<Item = &AttributeTypeAndValue<'_>>| -> Vec<String> {
            attributes
                .filter_map(|attribute| attribute.as_str().ok())
                .map(str::to_owned)
                .collect()
        };
        let mut fingerprint_sha256 = [0; 32];
        fingerprint_sha256.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, der).as_ref());
        Ok(Self {
            common_name,
            subject: subject.to_string(),
            organizational_units: texts(&mut subject.iter_organizational_unit()),
            organizations: texts(&mut subject.iter_organization()),
            issuer_raw: certificate.issuer().as_raw().to_vec(),
            serial: trim_zeros(certificate.raw_serial()).to_vec(),
            fingerprint_sha256,
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// The serial as `0a:1b:…`, the form OpenVPN gives to scripts as `tls_serial_hex`.
    pub fn serial_hex(&self) -> String {
        if self.serial.is_empty() {
            return "00".to_owned();
        }
        self.serial
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(":")
    }

    /// The serial as a decimal number, the form OpenVPN gives to scripts as `tls_serial`.
    pub fn serial_decimal(&self) -> String {
        decimal(&self.serial)
    }

    /// The fingerprint as `AB:CD:…`, as `openssl x509 -fingerprint -sha256` prints it.
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint_sha256
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<Vec<_>>()
            .join(":")
    }
}

impl fmt::Debug for CertificateInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateInfo")
            .field("subject", &self.subject)
            .field("serial", &self.serial_hex())
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// DER integers carry a leading zero byte when the top bit is set; comparisons want it gone.
pub(crate) fn trim_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Big-endian bytes as a decimal number. Serials are at most a few dozen bytes, so the square is small.
fn decimal(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = vec![0];
    for &byte in bytes {
        let mut carry = u32::from(byte);
        for digit in digits.iter_mut().rev() {
            let value = u32::from(*digit) * 256 + carry;
            *digit = (value % 10) as u8;
            carry = value / 10;
        }
        while carry > 0 {
            digits.insert(0, (carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serial_is_printed_in_both_forms_of_openvpn() {
        assert_eq!(decimal(&[]), "0");
        assert_eq!(decimal(&[0x01, 0x00]), "256");
        assert_eq!(decimal(&[0xff; 8]), u64::MAX.to_string());
        assert_eq!(trim_zeros(&[0, 0, 1, 0]), [1, 0]);
    }

    #[test]
    fn identity_is_read_from_a_certificate() {
        let pki = crate::testing::pki();
        let info = CertificateInfo::parse(&pki.client_der()).unwrap();
        assert_eq!(info.common_name, "alice");
        assert!(info.subject.contains("CN=alice"), "{}", info.subject);
        assert_eq!(info.serial_hex(), "0a:0b:0c");
        assert_eq!(info.serial_decimal(), "658188");
        assert_eq!(info.fingerprint_hex().len(), 32 * 3 - 1);
    }

    #[test]
    fn groups_are_read_from_the_subject() {
        use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
        let mut params = CertificateParams::new(vec!["laptop".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example");
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, "engineering");
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let info = CertificateInfo::parse(made.der()).unwrap();
        assert_eq!(info.organizational_units, ["engineering"]);
        assert_eq!(info.organizations, ["Example"]);
    }

    #[test]
    fn damaged_certificates_are_refused_without_panic() {
        let der = crate::testing::pki().client_der();
        for cut in 0..der.len() {
            let short = CertificateDer::from(der[..cut].to_vec());
            assert!(CertificateInfo::parse(&short).is_err(), "cut at {cut}");
        }
    }
}
