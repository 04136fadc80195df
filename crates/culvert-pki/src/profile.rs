//! Client profiles: one `.ovpn` file with everything in it.
//!
//! Only words that OpenVPN 2.4 to 2.7 and OpenVPN Connect all understand are written; what a client may not
//! know stands behind `ignore-unknown-option`. The layout is flat (no `<connection>` blocks), because desktop
//! importers such as NetworkManager's refuse those.

use std::fmt::{self, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::authority::parse;
use crate::error::PkiError;
use crate::files;
use crate::pem;

/// Seconds a client waits for an endpoint before it tries the next `remote` line.
const POLL_SECONDS: u32 = 10;

/// UDP or TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileTransport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
}

/// One way to reach the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// UDP or TCP.
    pub transport: ProfileTransport,
}

/// The key that wraps the control channel, as the text of its file.
#[derive(Clone)]
pub enum ControlKey {
    /// Not wrapped.
    None,
    /// `tls-auth`.
    TlsAuth {
        /// OpenVPN static key.
        key: Zeroizing<String>,
        /// The client's direction: 1 where the server has 0; `None` if neither has one.
        direction: Option<u8>,
        /// Digest, `SHA1` being the client's default.
        digest: &'static str,
    },
    /// `tls-crypt`: OpenVPN static key.
    TlsCrypt(Zeroizing<String>),
    /// `tls-crypt-v2`: this client's own key. Needs OpenVPN 2.5.
    TlsCryptV2(Zeroizing<String>),
}

/// A client's certificate and private key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// Certificate, intermediate ones after it.
    pub certificate: String,
    /// Private key.
    pub private_key: Zeroizing<String>,
}

impl Identity {
    /// Reads a certificate (with the intermediate ones after it) and its private key.
    ///
    /// # Errors
    /// [`PkiError::Certificate`] and [`PkiError::Key`], also if the two do not belong together.
    pub fn read(certificate: &Path, private_key: &Path) -> Result<Self, PkiError> {
        let chain = pem::certificates(certificate)?;
        let key = crate::key::load(private_key)?;
        let own = chain.first().and_then(|leaf| parse(leaf).ok());
        if own.is_none_or(|leaf| leaf.public_key().subject_public_key.data.as_ref() != key.public_key_raw()) {
            let reason = format!("it does not belong to the certificate {}", certificate.display());
            return Err(PkiError::Key {
                path: private_key.into(),
                reason,
            });
        }
        Ok(Self {
            certificate: pem::certificates_only(&files::read(certificate)?),
            private_key: Zeroizing::new(pem::key_only(&files::read(private_key)?)),
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// What goes into a profile.
#[derive(Clone)]
pub struct Profile {
    /// Ways to reach the endpoint, tried in this order; at least one.
    pub remotes: Vec<Remote>,
    /// Authorities that issued the server's certificate, as PEM.
    pub ca: String,
    /// Certificate and key of the client; without them the profile says that there are none.
    pub identity: Option<Identity>,
    /// Wrapping of the control channel.
    pub control_key: ControlKey,
    /// Common name of the server's certificate.
    pub server_name: Option<String>,
    /// Ask for user name and password.
    pub password: bool,
    /// Ciphers of the endpoint by OpenVPN's names, best first.
    pub data_ciphers: Vec<String>,
}

impl Profile {
    /// The profile's text. It holds private keys.
    ///
    /// # Errors
    /// [`PkiError::Profile`] names what cannot be written.
    pub fn render(&self) -> Result<Zeroizing<String>, PkiError> {
        // Everything is allocated at once where it matters: keys come last and a grown string would leave
        // copies of them behind.
        let mut head = String::from("client\ndev tun\n");
        self.render_remotes(&mut head)?;
        head.push_str("resolv-retry infinite\nnobind\npersist-tun\n");
        self.render_trust(&mut head)?;
        self.render_ciphers(&mut head);
        head.push_str("verb 3\n");
        let blocks = self.blocks()?;
        let size = head.len()
            + blocks
                .iter()
                .map(|(tag, text)| 2 * tag.len() + text.len() + 8)
                .sum::<usize>();
        let mut text = Zeroizing::new(String::with_capacity(size));
        text.push_str(&head);
        for (tag, content) in &blocks {
            let _ = write!(text, "<{tag}>\n{}\n</{tag}>\n", content.trim_end());
        }
        Ok(text)
    }

    fn render_remotes(&self, out: &mut String) -> Result<(), PkiError> {
        if self.remotes.is_empty() {
            return Err(PkiError::Profile("it needs a host that clients can reach".into()));
        }
        for remote in &self.remotes {
            let host = &remote.host;
            let plain = !host.is_empty()
                && host.len() <= 253
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
            if !plain {
                return Err(PkiError::Profile(format!(
                    "{host:?} is neither host name nor address"
                )));
            }
            let transport = match remote.transport {
                ProfileTransport::Udp => "udp",
                ProfileTransport::Tcp => "tcp",
            };
            let _ = writeln!(out, "remote {host} {} {transport}", remote.port);
        }
        if self.remotes.len() > 1 {
            let _ = writeln!(out, "server-poll-timeout {POLL_SECONDS}");
        }
        // Clients before 2.6 stop at this word if any remote is TCP.
        if self
            .remotes
            .iter()
            .all(|remote| remote.transport == ProfileTransport::Udp)
        {
            out.push_str("explicit-exit-notify 1\n");
        }
        Ok(())
    }

    fn render_trust(&self, out: &mut String) -> Result<(), PkiError> {
        out.push_str("remote-cert-tls server\n");
        if let Some(name) = &self.server_name {
            let _ = writeln!(out, "verify-x509-name {} name", quoted(name)?);
        }
        if self.identity.is_none() {
            // OpenVPN Connect would ask for a certificate otherwise.
            out.push_str("setenv CLIENT_CERT 0\n");
        }
        if self.password {
            out.push_str("auth-user-pass\n");
        }
        Ok(())
    }

    fn render_ciphers(&self, out: &mut String) {
        let has = |name: &str| {
            self.data_ciphers
                .iter()
                .any(|cipher| cipher.eq_ignore_ascii_case(name))
        };
        // Every client offers these two by itself. Naming more could stop a client whose library lacks one.
        let usual = ["AES-256-GCM", "AES-128-GCM"].into_iter().find(|name| has(name));
        if usual.is_none() && !self.data_ciphers.is_empty() {
            let _ = writeln!(
                out,
                "ignore-unknown-option data-ciphers\ndata-ciphers {}",
                self.data_ciphers.join(":")
            );
        }
        let first = self.data_ciphers.first().map(String::as_str);
        if let Some(cipher) = usual.or(first) {
            let _ = writeln!(out, "cipher {cipher}");
        }
        if let ControlKey::TlsAuth {
            direction, digest, ..
        } = &self.control_key
        {
            if *digest != "SHA1" {
                let _ = writeln!(out, "auth {digest}");
            }
            if let Some(direction) = direction {
                let _ = writeln!(out, "key-direction {direction}");
            }
        }
    }

    fn blocks(&self) -> Result<Vec<(&'static str, Zeroizing<String>)>, PkiError> {
        let ca = pem::certificates_only(&self.ca);
        if ca.is_empty() {
            return Err(PkiError::Profile(
                "the authority's file holds no PEM certificate".into(),
            ));
        }
        let mut blocks = vec![("ca", Zeroizing::new(ca))];
        if let Some(identity) = &self.identity {
            let certificate = pem::certificates_only(&identity.certificate);
            let key = Zeroizing::new(pem::key_only(&identity.private_key));
            if certificate.is_empty() || key.is_empty() {
                return Err(PkiError::Profile(
                    "the client's certificate or key is no PEM".into(),
                ));
            }
            blocks.push(("cert", Zeroizing::new(certificate)));
            blocks.push(("key", key));
        }
        match &self.control_key {
            ControlKey::None => {}
            ControlKey::TlsAuth { key, .. } => blocks.push(("tls-auth", key.clone())),
            ControlKey::TlsCrypt(key) => blocks.push(("tls-crypt", key.clone())),
            ControlKey::TlsCryptV2(key) => blocks.push(("tls-crypt-v2", key.clone())),
        }
        Ok(blocks)
    }
}

/// A parameter in OpenVPN's double quotes.
fn quoted(text: &str) -> Result<String, PkiError> {
    if text.chars().any(char::is_control) {
        return Err(PkiError::Profile(format!(
            "the name {text:?} contains a control character"
        )));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n";

    fn profile() -> Profile {
        Profile {
            remotes: vec![Remote {
                host: "vpn.example.com".into(),
                port: 443,
                transport: ProfileTransport::Udp,
            }],
            ca: format!("subject=x\n{CA}"),
            identity: None,
            control_key: ControlKey::None,
            server_name: Some("vpn \"one\"".into()),
            password: true,
            data_ciphers: vec!["AES-256-GCM".into(), "CHACHA20-POLY1305".into()],
        }
    }

    #[test]
    fn a_password_profile_has_these_lines() {
        assert_eq!(
            *profile().render().unwrap(),
            format!(
                "client\ndev tun\nremote vpn.example.com 443 udp\nexplicit-exit-notify 1\nresolv-retry infinite\n\
                 nobind\npersist-tun\nremote-cert-tls server\nverify-x509-name \"vpn \\\"one\\\"\" name\n\
                 setenv CLIENT_CERT 0\nauth-user-pass\ncipher AES-256-GCM\nverb 3\n<ca>\n{CA}</ca>\n"
            )
        );
    }

    #[test]
    fn exit_notices_are_for_profiles_that_only_use_udp() {
        let mut both = profile();
        both.remotes.push(Remote {
            host: "2001:db8::1".into(),
            port: 443,
            transport: ProfileTransport::Tcp,
        });
        let text = both.render().unwrap();
        assert!(text.contains(
            "remote vpn.example.com 443 udp\nremote 2001:db8::1 443 tcp\nserver-poll-timeout 10\n"
        ));
        assert!(!text.contains("explicit-exit-notify"));
    }

    #[test]
    fn unusual_ciphers_are_named_where_the_client_may_ignore_them() {
        let mut unusual = profile();
        unusual.data_ciphers = vec!["CHACHA20-POLY1305".into()];
        let text = unusual.render().unwrap();
        assert!(text.contains(
            "ignore-unknown-option data-ciphers\ndata-ciphers CHACHA20-POLY1305\ncipher CHACHA20-POLY1305\n"
        ));
    }

    #[test]
    fn each_wrapping_has_its_block() {
        let with = |control_key| {
            Profile {
                control_key,
                ..profile()
            }
            .render()
            .unwrap()
        };
        let key = || Zeroizing::new("KEY\n".to_owned());
        let text = with(ControlKey::TlsAuth {
            key: key(),
            direction: Some(1),
            digest: "SHA256",
        });
        assert!(
            text.contains("auth SHA256\nkey-direction 1\n")
                && text.ends_with("<tls-auth>\nKEY\n</tls-auth>\n")
        );
        let text = with(ControlKey::TlsAuth {
            key: key(),
            direction: None,
            digest: "SHA1",
        });
        assert!(!text.contains("auth SHA") && !text.contains("key-direction"));
        assert!(with(ControlKey::TlsCrypt(key())).ends_with("<tls-crypt>\nKEY\n</tls-crypt>\n"));
        assert!(with(ControlKey::TlsCryptV2(key())).ends_with("<tls-crypt-v2>\nKEY\n</tls-crypt-v2>\n"));
    }

    #[test]
    fn hosts_and_names_cannot_smuggle_lines_in() {
        let mut bad = profile();
        bad.remotes[0].host = "a\nscript-security 2".into();
        assert!(bad.render().is_err());
        let mut bad = profile();
        bad.server_name = Some("x\nup /bin/sh".into());
        assert!(bad.render().is_err());
        let mut bad = profile();
        bad.remotes.clear();
        assert!(bad.render().is_err());
    }
}
