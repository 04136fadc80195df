//! How clients prove who they are.

use std::time::Duration;

use super::table::{Table, Value};
use super::values::{choice, duration, string};
use crate::config::FileKind;
use crate::endpoint::{
    Authentication, CertificateGroups, CertificatePolicy, ClientCertificates, Combine, ExternalCommand,
    PasswordCheck, Pem, VerifyX509Name,
};
use crate::error::Fault;

/// Reads `[endpoint.authentication]`; `None` when something was reported.
pub(super) fn authentication(endpoint: &Table<'_, '_>) -> Option<Authentication> {
    let how = "say how clients prove who they are: client_ca for certificates, users_file or command for \
               passwords";
    if !endpoint.has("authentication") {
        endpoint.refuse(Fault::new(
            "authentication is missing",
            format!("add [endpoint.authentication] and {how}"),
        ));
    }
    let table = endpoint.table("authentication")?;
    let words = [
        ("required", CertificatePolicy::Required),
        ("optional", CertificatePolicy::Optional),
        ("none", CertificatePolicy::None),
    ];
    let wanted = table.read("client_certificate", |value| choice(value, &words));
    let certificates = certificates(&table);
    let password = password(&table);
    let (Ok(certificates), Ok(password)) = (certificates, password) else {
        table.finish();
        return None;
    };
    let wanted = wanted.unwrap_or_else(|| {
        if certificates.is_some() {
            CertificatePolicy::Required
        } else {
            CertificatePolicy::None
        }
    });
    let refuse = |key, message: &str, cure: &str| {
        table.refuse_key(key, Fault::new(message, cure));
        None
    };
    let found = match (wanted, certificates, password) {
        (CertificatePolicy::None, None, None) => {
            refuse("authentication", "nobody could prove who they are", how)
        }
        (CertificatePolicy::None, None, Some(password)) => Some(Authentication::Password(password)),
        (CertificatePolicy::None, Some(_), _) => refuse(
            "client_ca",
            "client_ca is given, but client_certificate is \"none\"",
            "remove one of them",
        ),
        (CertificatePolicy::Required | CertificatePolicy::Optional, None, _) => refuse(
            "client_certificate",
            "client certificates are wanted, but client_ca is missing",
            "add client_ca with the authority that issues them",
        ),
        (CertificatePolicy::Required, Some(certificates), None) => {
            Some(Authentication::Certificate(certificates))
        }
        (CertificatePolicy::Required, Some(certificates), Some(password)) => {
            Some(Authentication::CertificateAndPassword(certificates, password))
        }
        (CertificatePolicy::Optional, Some(certificates), Some(password)) => Some(
            Authentication::PasswordAndOptionalCertificate(certificates, password),
        ),
        (CertificatePolicy::Optional, Some(_), None) => refuse(
            "client_certificate",
            "an optional certificate and no password would let everybody in",
            "use \"required\", or add users_file or command",
        ),
    };
    table.finish();
    found
}

fn certificates(table: &Table<'_, '_>) -> Result<Option<ClientCertificates>, Reported> {
    let ca = table.file("client_ca", FileKind::public("client CA"));
    let crl = table.file("crl", FileKind::public("certificate revocation list"));
    let verify_x509_name = table.table("verify_x509_name").and_then(|entry| {
        let name = verify_x509_name(&entry);
        entry.finish();
        name
    });
    let groups = table.read("certificate_groups", certificate_groups);
    match ca {
        Some(ca) => Ok(Some(ClientCertificates {
            ca: ca.into(),
            crl: crl.map(Pem::from),
            verify_x509_name,
            groups,
        })),
        None if table.has("client_ca") => Err(Reported),
        None => {
            for key in ["crl", "verify_x509_name", "certificate_groups"] {
                if table.has(key) {
                    let message = format!("{key} is about client certificates, but client_ca is missing");
                    table.refuse_key(key, Fault::new(message, "add client_ca, or remove this key"));
                    return Err(Reported);
                }
            }
            Ok(None)
        }
    }
}

/// What of a certificate names groups.
pub(super) fn certificate_groups(value: &Value<'_, '_>) -> Result<CertificateGroups, Fault> {
    let words = [
        ("OU", CertificateGroups::OrganizationalUnit),
        ("O", CertificateGroups::Organization),
    ];
    choice(value, &words)
}

/// Who judges user names and passwords, when somebody does.
pub(super) fn password(table: &Table<'_, '_>) -> Result<Option<PasswordCheck>, Reported> {
    let users_file = table.file(
        "users_file",
        FileKind {
            optional: true,
            ..FileKind::secret("users file")
        },
    );
    let command = command(table)?;
    let words = [("any", Combine::Any), ("all", Combine::All)];
    let combine = table.read("combine", |value| choice(value, &words));
    match (users_file, command) {
        (Some(users_file), Some(command)) => match combine {
            Some(combine) => Ok(Some(PasswordCheck::Combined {
                users_file,
                command,
                combine,
            })),
            None => {
                if !table.has("combine") {
                    let cure = "set combine = \"any\" (one must accept) or \"all\" (both must)";
                    table.refuse_key(
                        "command",
                        Fault::new("users_file and command are both given", cure),
                    );
                }
                Err(Reported)
            }
        },
        _ if table.has("combine") => {
            let message = "combine needs both users_file and command";
            table.refuse_key(
                "combine",
                Fault::new(message, "add the other one, or remove combine"),
            );
            Err(Reported)
        }
        (Some(users_file), None) => Ok(Some(PasswordCheck::UsersFile(users_file))),
        (None, Some(command)) => Ok(Some(PasswordCheck::Command(command))),
        (None, None) if table.has("users_file") => Err(Reported),
        (None, None) => Ok(None),
    }
}

fn command(table: &Table<'_, '_>) -> Result<Option<ExternalCommand>, Reported> {
    let timeout = table.read("command_timeout", duration);
    let Some(words) = table.list("command", string) else {
        if table.has("command") {
            return Err(Reported);
        }
        if table.has("command_timeout") {
            let message = "command_timeout is given, but command is missing";
            table.refuse_key(
                "command_timeout",
                Fault::new(message, "add command, or remove this key"),
            );
            return Err(Reported);
        }
        return Ok(None);
    };
    let mut words = words.into_iter();
    match words.next().filter(|program| program.contains('/')) {
        Some(program) => Ok(Some(ExternalCommand {
            program: table.folder().join(program),
            arguments: words.collect(),
            timeout: timeout.unwrap_or(Duration::from_secs(30)),
        })),
        None => {
            let cure = "write [\"/path/to/program\", \"argument\"]; programs are not looked up in PATH";
            table.refuse_key(
                "command",
                Fault::new("the command does not start with a path", cure),
            );
            Err(Reported)
        }
    }
}

/// Something is wrong and has been reported.
pub(super) struct Reported;

fn verify_x509_name(table: &Table<'_, '_>) -> Option<VerifyX509Name> {
    type Make = fn(String) -> VerifyX509Name;
    let kinds: [(&str, Make); 3] = [
        ("subject", VerifyX509Name::Subject),
        ("name", VerifyX509Name::Name),
        ("name-prefix", VerifyX509Name::NamePrefix),
    ];
    let name = table.require("name", "write the name to compare with", |value| {
        match string(value)? {
            name if name.is_empty() => Err(Fault::new("the name is empty", "write the name to compare with")),
            name => Ok(name),
        }
    });
    let cure = "write \"subject\", \"name\" or \"name-prefix\"";
    let make = table.require("type", cure, |value| choice(value, &kinds));
    Some(make?(name?))
}
