//! Inputs shared by the unit tests: the common values of the wire vectors.

use culvert_wire::SessionId;

use crate::{Key2, StaticKey};

/// Unix time of the vectors.
pub(crate) const TIME: u32 = 0x6543_2100;

/// Client session id of the vectors.
pub(crate) fn client() -> SessionId {
    SessionId::new(counting(0xc1)).unwrap()
}

/// Server session id of the vectors.
pub(crate) fn server() -> SessionId {
    SessionId::new(counting(0x51)).unwrap()
}

/// Reads hexadecimal digits; blanks and line ends are ignored.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    assert_eq!(digits.len() % 2, 0);
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

/// `start, start + 1, ...`
pub(crate) fn counting<const N: usize>(start: u8) -> [u8; N] {
    std::array::from_fn(|index| start.wrapping_add(index as u8))
}

/// The static key 00 01 ... ff.
pub(crate) fn counting_key() -> StaticKey {
    StaticKey::from_bytes(&counting(0))
}

/// The data-channel keys that several vectors use.
pub(crate) fn v11_key2() -> Key2 {
    let bytes = hex(
        "e19b9863dc8d695bdd6f89fb2cc74ee915c1f513baf35f295b4c029af54f21a7f501aef8bca6ddd38cd4cbb92beb67cb30e7acfef67e51ddea19360795a5a0a1
         d93fac9bb1ee8aac7649bfd449bc9987e761afaf1b3895a90a28b66c6fd920e4f6f088192554031d6ce3506c0b06b7f2d1551af3c780932589b7a515ca0de773
         78d8321fa01f6e7927eb56f223275c2f64ee962f5c994d1a2b616b9dd8686c202bf69403e6971a34a6015969f68a364d5790655aae1c623caf120a91fe71ecf5
         2c8ca29692294ddc08dc2709fe83d240a8d9334d637f5dfbf6d8fd67025f7fb25e9e4ebb36420d99432dd4bc59dd7b52406e09b707a8a8ecd13f3d653e1560ba",
    );
    Key2::from_exporter(bytes.try_into().unwrap())
}
