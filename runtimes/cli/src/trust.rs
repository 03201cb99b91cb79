//! Certificates: read from files, made on the spot.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{Certificate, CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use switchboard::connect::ConnectionString;
use switchboard::link::tls::{ClientConfig, ConfigError, Identity, ServerConfig};

use crate::outcome::{Code, Failure};

/// The files that the command line names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    /// Issuers to trust; none: those of the system.
    pub(crate) ca: &'a [PathBuf],
    /// Our certificate and its key.
    pub(crate) own: Option<(&'a Path, &'a Path)>,
}

/// A certificate that its holder has signed, with its key.
pub(crate) struct SelfSigned {
    pub(crate) pem: String,
    pub(crate) identity: Identity,
}

impl SelfSigned {
    /// For localhost, 127.0.0.1, ::1 and one more host.
    pub(crate) fn make(host: Option<&str>) -> Result<Self, Failure> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(host.filter(|host| !names.iter().any(|name| name == host)).map(str::to_owned));
        let (certificate, key) = signed(names).map_err(|error| unusable("a certificate can't be made", &error))?;
        let der = certificate.der().to_vec();
        let identity = Identity::from_der(vec![der], key.serialize_der()).map_err(refused)?;
        Ok(Self { pem: certificate.pem(), identity })
    }
}

fn signed(names: Vec<String>) -> Result<(Certificate, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "switchboard, self-signed");
    Ok((params.self_signed(&key)?, key))
}

/// Whom to trust when dialling, and who we are.
pub(crate) fn client(files: Files<'_>) -> Result<ClientConfig, Failure> {
    let config = if files.ca.is_empty() {
        ClientConfig::new(switchboard_tokio::system_roots())
            .map_err(|error| refused(error).advise("this system has none that can be read: name some by --ca FILE"))?
    } else {
        ClientConfig::new(authorities(files)?).map_err(refused)?
    };
    let identity = from_files(files)?;
    Ok(identity.iter().fold(config, ClientConfig::identity))
}

/// Who we are when listening, and from whom clients need a certificate; none: nobody has said who we are.
pub(crate) fn server(files: Files<'_>, made: Option<Identity>) -> Result<Option<ServerConfig>, Failure> {
    let Some(identity) = made.map_or_else(|| from_files(files), |made| Ok(Some(made)))? else { return Ok(None) };
    let config = if files.ca.is_empty() {
        ServerConfig::new(&identity)
    } else {
        ServerConfig::for_clients_of(&identity, authorities(files)?)
    };
    config.map(Some).map_err(refused)
}

/// Makes a certificate for the host that is listened on, and writes it to a file that must not exist.
pub(crate) fn self_signed(file: &Path, string: &ConnectionString) -> Result<Identity, Failure> {
    let host = host(string).filter(|host| !host.parse().is_ok_and(|address: IpAddr| address.is_unspecified()));
    let made = SelfSigned::make(host.as_deref())?;
    let mut new = File::create_new(file).map_err(|error| {
        unusable(&file.display().to_string(), &error).advise("it must be a new file: remove it first or name another")
    })?;
    new.write_all(made.pem.as_bytes()).map_err(|error| unusable(&file.display().to_string(), &error))?;
    Ok(made.identity)
}

/// The host of a connection string that has one.
pub(crate) fn host(string: &ConnectionString) -> Option<String> {
    let by_url = string.url().map(|(authority, _)| authority.host);
    by_url.or_else(|_| string.host_port().map(|(host, _)| host)).ok()
}

fn authorities(files: Files<'_>) -> Result<Vec<Vec<u8>>, Failure> {
    let mut all = Vec::new();
    for file in files.ca {
        let pem = read(file)?;
        let before = all.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            all.push(certificate.map_err(|error| unusable(&file.display().to_string(), &error))?.to_vec());
        }
        if all.len() == before {
            return Err(Failure::new(Code::Usage, format!("{}: there is no certificate in PEM", file.display())));
        }
    }
    Ok(all)
}

fn from_files(files: Files<'_>) -> Result<Option<Identity>, Failure> {
    let Some((cert, key)) = files.own else { return Ok(None) };
    let identity = Identity::from_pem(&read(cert)?, &read(key)?);
    identity.map(Some).map_err(|error| unusable(&format!("{} and {}", cert.display(), key.display()), &error))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| unusable(&file.display().to_string(), &error))
}

fn refused(error: ConfigError) -> Failure {
    Failure::new(Code::Usage, error.to_string())
}

fn unusable(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Code::Usage, format!("{what}: {error}"))
}
