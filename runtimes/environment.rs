//! Who we are and which relays we use, as the system's environment says.
//!
//! Each driver has this module: what it reads is the same for all. The key lies in a file that only its owner can
//! read, made on first use: `$XDG_CONFIG_HOME/switchboard/key`, or `~/.config/switchboard/key`. Relays are those of
//! the variable `SWITCHBOARD_RELAYS`, else of the file `relays` beside the key. How both are written is in
//! [`switchboard::connect::settings`]. What the environment says of direct paths is in [`direct`].

#[cfg(feature = "direct")]
pub mod direct;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use switchboard::connect::settings::{NotAKey, parse_secret, relays_of_file, relays_of_variable, secret_text};
use switchboard::connect::{Builder, ConnectError, Endpoint, Options};
use switchboard::link::noise::SecretKey;
use switchboard::link::tls::ClientConfig;

/// The variable that lists relays.
pub const RELAYS: &str = "SWITCHBOARD_RELAYS";

/// The longest file of settings that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// What the environment says.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    directory: Option<PathBuf>,
    relays: Option<String>,
}

/// Why the environment does not say what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// There is neither `XDG_CONFIG_HOME` nor `HOME`.
    #[error("there is no home directory to keep settings in: set XDG_CONFIG_HOME or HOME, or name a file")]
    NoDirectory,
    /// A file or directory can't be used.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// Others than its owner can read the file of a secret key.
    #[error("{}: others can read this secret key; if nobody has: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file of a secret key has something else in it.
    #[error("{}: {error}", .path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What it should have in it.
        error: NotAKey,
    },
    /// A relay is not written as one.
    #[error("{source_name}: {error}")]
    BadRelay {
        /// The file, or the variable.
        source_name: String,
        /// What is wrong with it.
        error: ConnectError,
    },
    /// Nobody has said which relays to use.
    #[error(
        "no relay is known: start one by `switchboard relay`, and name it by --relay, in {RELAYS} or, one a line, in {file}"
    )]
    NoRelays {
        /// The file that could list them.
        file: String,
    },
    /// Direct paths can't be made as the environment says.
    #[cfg(feature = "direct")]
    #[error(transparent)]
    Direct(#[from] direct::DirectError),
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        let config = config.or_else(|| variable("HOME").map(|home| home.join(".config")));
        Self { directory: config.map(|config| config.join("switchboard")), relays: std::env::var(RELAYS).ok() }
    }

    /// One whose files lie in this directory, with this value of [`RELAYS`].
    pub const fn new(directory: PathBuf, relays: Option<String>) -> Self {
        Self { directory: Some(directory), relays }
    }

    /// A file of this name among the settings.
    ///
    /// # Errors
    /// [`EnvironmentError::NoDirectory`].
    pub fn file(&self, name: &str) -> Result<PathBuf, EnvironmentError> {
        let directory = self.directory.as_ref().ok_or(EnvironmentError::NoDirectory)?;
        Ok(directory.join(name))
    }

    /// The relays to use.
    ///
    /// # Errors
    /// [`EnvironmentError::NoRelays`] if none is named; also if a file can't be read or has something else in it.
    pub fn relays(&self) -> Result<Vec<String>, EnvironmentError> {
        let of_variable = relays_of_variable(self.relays.as_deref().unwrap_or_default());
        let relays = of_variable.map_err(|error| bad_relay(RELAYS, error))?;
        if !relays.is_empty() {
            return Ok(relays);
        }
        let file = self.file("relays")?;
        let relays = match read(&file) {
            Ok(text) => relays_of_file(&text).map_err(|error| bad_relay(&file.display().to_string(), error))?,
            Err(EnvironmentError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        if relays.is_empty() {
            Err(EnvironmentError::NoRelays { file: file.display().to_string() })
        } else {
            Ok(relays)
        }
    }
}

/// An endpoint with the key, the relays and the direct paths of this process' environment.
///
/// # Errors
/// If there is no relay, or a file can't be used.
pub fn builder() -> Result<Builder, EnvironmentError> {
    let environment = Environment::of_process();
    let options = options();
    #[cfg(feature = "direct")]
    let config = {
        let mut config = direct::config()?;
        config.gather.trust.clone_from(&options.trust);
        config
    };
    let builder = Endpoint::builder(secret_key(&environment.file("key")?)?).options(options);
    #[cfg(feature = "direct")]
    let builder = builder.direct(config);
    Ok(environment.relays()?.iter().fold(builder, |builder, relay| builder.relay(relay)))
}

/// Options that trust whom the system trusts.
pub fn options() -> Options {
    Options { trust: ClientConfig::new(crate::system_roots()).ok(), ..Options::default() }
}

/// The secret key in a file; the file is made, with a new key, if there is none.
///
/// # Errors
/// If the file can't be read or made, has something else in it, or can be read by others than its owner.
pub fn secret_key(file: &Path) -> Result<SecretKey, EnvironmentError> {
    loop {
        match read_secret(file) {
            Err(EnvironmentError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => make(file)?,
            read => return read,
        }
    }
}

fn read_secret(file: &Path) -> Result<SecretKey, EnvironmentError> {
    let opened = File::open(file).map_err(failed(file))?;
    if is_exposed(&opened).map_err(failed(file))? {
        return Err(EnvironmentError::Exposed { path: file.to_owned() });
    }
    let secret = parse_secret(&text_of(&opened, file)?);
    secret
        .map(|seed| SecretKey::from_bytes(&seed))
        .map_err(|error| EnvironmentError::NotAKey { path: file.to_owned(), error })
}

/// Writes a new key beside the file and links it there, so that the file never exists without its key in it; a
/// file that another process has made meanwhile is left alone.
fn make(file: &Path) -> Result<(), EnvironmentError> {
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        private_directory(directory).map_err(failed(directory))?;
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| failed(file)(error.into()))?;
    let mut draft = file.as_os_str().to_owned();
    draft.push(format!(".{}-{:02x}{:02x}", std::process::id(), seed[0], seed[1]));
    let draft = PathBuf::from(draft);
    getrandom::fill(&mut seed).map_err(|error| failed(file)(error.into()))?;
    let linked = write_private(&draft, secret_text(&seed).as_bytes()).and_then(|()| fs::hard_link(&draft, file));
    _ = fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(file)(error)),
        _ => Ok(()),
    }
}

fn private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create_new(true).open(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_file: &File) -> io::Result<bool> {
    Ok(false)
}

fn read(file: &Path) -> Result<String, EnvironmentError> {
    text_of(&File::open(file).map_err(failed(file))?, file)
}

fn text_of(opened: &File, file: &Path) -> Result<String, EnvironmentError> {
    let mut text = String::new();
    opened.take(MAX_FILE).read_to_string(&mut text).map_err(failed(file))?;
    Ok(text)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> EnvironmentError {
    let path = path.to_owned();
    move |error| EnvironmentError::Io { path, error }
}

fn bad_relay(source_name: &str, error: ConnectError) -> EnvironmentError {
    EnvironmentError::BadRelay { source_name: source_name.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let directory = Scratch::new("made");
        let file = directory.0.join("deeper/key");
        let key = secret_key(&file).unwrap();
        assert_eq!(secret_key(&file).unwrap().id(), key.id());
        assert_ne!(secret_key(&directory.0.join("other")).unwrap().id(), key.id());
        assert!(!is_exposed(&File::open(&file).unwrap()).unwrap());
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = Scratch::new("exposed");
        let file = directory.0.join("key");
        secret_key(&file).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let told = secret_key(&file).unwrap_err().to_string();
            assert!(told.ends_with(&format!("chmod 600 {}", file.display())), "{told}");
        }
    }

    #[test]
    fn many_who_make_a_key_at_once_have_the_same() {
        let directory = Scratch::new("race");
        let file = &directory.0.join("key");
        let keys = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| secret_key(file).unwrap().id())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_file_with_something_else_in_it_is_not_overwritten() {
        let directory = Scratch::new("something-else");
        let file = directory.0.join("key");
        write_private(&file, b"precious").unwrap();
        assert!(matches!(secret_key(&file), Err(EnvironmentError::NotAKey { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }

    #[test]
    fn the_variable_comes_before_the_file_and_nothing_is_an_error_that_helps() {
        let directory = Scratch::new("relays");
        let environment = |relays: &str| Environment::new(directory.0.clone(), Some(relays.to_owned()));
        let told = environment("").relays().unwrap_err().to_string();
        assert!(told.contains("switchboard relay") && told.contains("relays"), "{told}");
        fs::write(directory.0.join("relays"), "tcp:a:1\n").unwrap();
        assert_eq!(environment(" ,").relays().unwrap(), ["tcp:a:1"]);
        assert_eq!(environment("tcp:b:1").relays().unwrap(), ["tcp:b:1"]);
        fs::write(directory.0.join("relays"), ":x\n").unwrap();
        assert!(matches!(environment("").relays(), Err(EnvironmentError::BadRelay { .. })));
    }

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("switchboard-{}-{}-{name}", env!("CARGO_PKG_NAME"), std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }
}
