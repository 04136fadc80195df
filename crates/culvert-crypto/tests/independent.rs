//! Compares this crate with programs that share no code with it: the `openssl` and `openvpn` commands.
//!
//! A comparison is skipped where its program is not installed; the vectors in the unit tests remain.

// Helpers of tests: a panic is how they fail, and a skipped comparison has to be seen.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::print_stderr)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use culvert_crypto::prf::tls1_prf;
use culvert_crypto::tls_crypt_v2::{ClientKey, Metadata, ServerKey, split_wkc};
use culvert_crypto::{
    AuthDigest, CbcHmacKey, ControlWrap, DataCipher, Direction, Entropy, EpochSecret, Key2, KeyDirection,
    ReplayStamp, Role, SeededEntropy, StaticKey,
};
use culvert_wire::{FirstByte, KeyId, Opcode};

/// Output of a program fed with `input`; `None` if it is not installed.
fn run(program: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let spawned = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            return None;
        }
    };
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.stdout)
}

fn openssl(args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    run("openssl", args, input)
}

fn openssl_hmac(digest: &str, key: &[u8], input: &[u8]) -> Option<Vec<u8>> {
    let digest = format!("-{digest}");
    let key = format!("hexkey:{}", hex(key));
    openssl(
        &["dgst", &digest, "-mac", "HMAC", "-macopt", &key, "-binary"],
        input,
    )
}

fn openssl_decrypt(cipher: &str, key: &[u8], iv: &[u8], input: &[u8]) -> Option<Vec<u8>> {
    let (key, iv) = (hex(key), hex(iv));
    openssl(&["enc", "-d", cipher, "-K", &key, "-iv", &iv], input)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random<const N: usize>(seed: u64) -> [u8; N] {
    let mut bytes = [0; N];
    SeededEntropy::new(seed).fill(&mut bytes);
    bytes
}

fn wrapped(wrap: &ControlWrap, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    wrap.wrap(
        ReplayStamp {
            id: 7,
            time: 0x6543_2100,
        },
        FirstByte {
            opcode: Opcode::ControlV1,
            key_id: KeyId::new(3).unwrap(),
        },
        SeededEntropy::new(9).session_id(),
        body,
        &mut packet,
    );
    packet
}

#[test]
fn openssl_reads_tls_crypt_packets() {
    let key = StaticKey::from_bytes(&random(1));
    for len in [0, 1, 16, 17, 1200] {
        let body: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
        let packet = wrapped(&ControlWrap::tls_crypt(&key, Role::Server), &body);
        let (ad, tag, ciphertext) = (&packet[..17], &packet[17..49], &packet[49..]);
        let cipher_key = &key.bytes()[..32];
        let Some(plain) = openssl_decrypt("-aes-256-ctr", cipher_key, &tag[..16], ciphertext) else {
            return;
        };
        assert_eq!(plain, body);
        let mac = openssl_hmac("sha256", &key.bytes()[64..96], &[ad, &body].concat()).unwrap();
        assert_eq!(mac, tag);
    }
}

#[test]
fn openssl_verifies_tls_auth_packets() {
    let key = StaticKey::from_bytes(&random(2));
    for digest in AuthDigest::ALL {
        let packet = wrapped(&ControlWrap::tls_auth(&key, KeyDirection::One, digest), b"body");
        let (header, rest) = packet.split_at(9);
        let (tag, rest) = rest.split_at(digest.size());
        let (stamp, body) = rest.split_at(8);
        let input = [stamp, header, body].concat();
        let hmac_key = &key.bytes()[192..192 + digest.size()];
        let Some(mac) = openssl_hmac(&digest.name().to_lowercase(), hmac_key, &input) else {
            return;
        };
        assert_eq!(mac, tag, "{digest}");
    }
}

#[test]
fn openssl_reads_cbc_packets() {
    let key2 = Key2::from_exporter(random(3));
    let direction = Direction::ServerToClient;
    for cipher in [
        DataCipher::Aes128Cbc,
        DataCipher::Aes192Cbc,
        DataCipher::Aes256Cbc,
    ] {
        for digest in AuthDigest::ALL {
            let key = CbcHmacKey::new(cipher, digest, &key2, direction).unwrap();
            let mut out = vec![0; 400];
            let len = key
                .seal(random(4), 0x0102_0304, &[b"a packet ", b"in parts"], &mut out)
                .unwrap();
            let (tag, protected) = out[..len].split_at(digest.size());
            let name = digest.name().to_lowercase();
            let Some(mac) = openssl_hmac(&name, key2.hmac_key(direction, digest), protected) else {
                return;
            };
            assert_eq!(mac, tag, "{cipher} {digest}");
            let (iv, ciphertext) = protected.split_at(16);
            let name = format!("-{}", cipher.name().to_lowercase());
            let cipher_key = key2.cipher_key(direction, cipher.key_len());
            let plain = openssl_decrypt(&name, cipher_key, iv, ciphertext).unwrap();
            assert_eq!(plain, b"\x01\x02\x03\x04a packet in parts", "{cipher} {digest}");
        }
    }
}

#[test]
fn openssl_derives_the_same_bytes_with_the_tls_1_0_prf() {
    for secret in [&random::<48>(5)[..], &random::<47>(6)[..]] {
        let mut ours = [0; 256];
        tls1_prf(secret, &[b"OpenVPN ", b"key expansion"], &mut ours);
        let hexsecret = format!("hexsecret:{}", hex(secret));
        let hexseed = format!("hexseed:{}", hex(b"OpenVPN key expansion"));
        let args = [
            "kdf",
            "-keylen",
            "256",
            "-binary",
            "-kdfopt",
            "digest:MD5-SHA1",
            "-kdfopt",
            &hexsecret,
            "-kdfopt",
            &hexseed,
            "TLS1-PRF",
        ];
        let Some(theirs) = openssl(&args, b"") else {
            return;
        };
        assert_eq!(theirs, ours);
    }
}

#[test]
fn openssl_derives_the_same_epoch_iv() {
    let bytes = random(7);
    let mut secret = bytes[..32].to_vec();
    let mut epoch = EpochSecret::first(&Key2::from_exporter(bytes), Direction::ClientToServer);
    let expand = |secret: &[u8], label: &str, len: u8| {
        let label_len = 5 + label.len() as u8;
        let info = [&[0, len, label_len][..], b"ovpn ", label.as_bytes(), &[0]].concat();
        let keylen = len.to_string();
        let hexkey = format!("hexkey:{}", hex(secret));
        let hexinfo = format!("hexinfo:{}", hex(&info));
        let args = [
            "kdf",
            "-keylen",
            &keylen,
            "-binary",
            "-kdfopt",
            "digest:SHA256",
            "-kdfopt",
            "mode:EXPAND_ONLY",
            "-kdfopt",
            &hexkey,
            "-kdfopt",
            &hexinfo,
            "HKDF",
        ];
        openssl(&args, b"")
    };
    for _ in 0..4 {
        let Some(iv) = expand(&secret, "data_iv", 12) else {
            return;
        };
        assert_eq!(iv, epoch.iv());
        secret = expand(&secret, "datakey upd", 32).unwrap();
        epoch = epoch.next().unwrap();
    }
}

/// A directory of the test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("culvert-crypto-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn key_files_of_openvpn_are_read_and_written_back_unchanged() {
    let scratch = Scratch::new("files");
    let generate = |kind: &str| {
        let path = scratch.file(kind);
        run("openvpn", &["--genkey", kind, &path], b"").map(|_| fs::read_to_string(&path).unwrap())
    };
    let Some(text) = generate("secret") else {
        return;
    };
    let frame = text.find("-----BEGIN").unwrap();
    assert_eq!(
        StaticKey::parse(&text).unwrap().to_text().as_str(),
        &text[frame..]
    );
    let text = generate("tls-crypt-v2-server").unwrap();
    assert_eq!(ServerKey::parse(&text).unwrap().to_pem().as_str(), text);
    let text = generate("auth-token").unwrap();
    let key = culvert_crypto::auth_token::TokenKey::parse(&text).unwrap();
    assert_eq!(key.to_pem().as_str(), text);
}

#[test]
fn client_keys_that_openvpn_wraps_with_our_server_key_unwrap() {
    let scratch = Scratch::new("v2");
    let (server_path, client_path) = (scratch.file("server.key"), scratch.file("client.key"));
    let server = ServerKey::generate(&mut SeededEntropy::new(8));
    fs::write(&server_path, server.to_pem()).unwrap();
    for metadata in [None, Some("QSBsYXB0b3A=")] {
        let _ = fs::remove_file(&client_path);
        let mut args = vec![
            "--tls-crypt-v2",
            &server_path,
            "--genkey",
            "tls-crypt-v2-client",
            &client_path,
        ];
        args.extend(metadata);
        if run("openvpn", &args, b"").is_none() {
            return;
        }
        let text = fs::read_to_string(&client_path).unwrap();
        let client = ClientKey::parse(&text).unwrap();
        assert_eq!(client.to_pem().as_str(), text);
        let unwrapped = server.unwrap(client.wkc()).unwrap();
        assert_eq!(&unwrapped.key, client.key());
        match metadata {
            None => assert!(matches!(unwrapped.metadata, Metadata::Timestamp(time) if time > 1_700_000_000)),
            Some(_) => assert_eq!(unwrapped.metadata, Metadata::UserDefined(b"A laptop".to_vec())),
        }
        let again = server.wrap(client.key(), &unwrapped.metadata).unwrap();
        assert_eq!(again, client.wkc(), "wrapping is deterministic");

        let mut packet = wrapped(&ControlWrap::tls_crypt(client.key(), Role::Client), b"body");
        packet.extend_from_slice(client.wkc());
        let (head, wkc) = split_wkc(&mut packet).unwrap();
        let key = server.unwrap(wkc).unwrap().key;
        let body = ControlWrap::tls_crypt(&key, Role::Server)
            .unwrap(head)
            .unwrap()
            .body;
        assert_eq!(body, b"body");
    }
}
