//! Certificates and revocation lists, from clients and from operators, as DER and as PEM.
#![no_main]

use culvert_control::CertificateInfo;
use culvert_control::crl::RevocationList;
use culvert_control::pem::PemContents;
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;

fuzz_target!(|data: &[u8]| {
    if let Ok(info) = CertificateInfo::parse(&CertificateDer::from(data)) {
        let _ = (info.serial_decimal(), info.fingerprint_hex());
    }
    let _ = PemContents::read("the input", data);
    if let Ok(list) = RevocationList::parse_stored(data, &[]) {
        let _ = (list.is_revoked(data, data), list.len(), list.next_update());
    }
});
