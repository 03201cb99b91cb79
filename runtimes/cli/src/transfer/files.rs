//! Files on disk: one that is offered, and one that is on its way.
//!
//! What has arrived lies in `NAME.HASH.part` (HASH: the first eight digits of the offered file's hash), so that a
//! broken transfer goes on where it broke and two files of one name never mix. It is locked while it is written. Only
//! a verified file gets its name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use blake3::{Hash, Hasher};

use super::message::{FileName, MAX_NAME, Offer, Refusal};

/// What to do when the directory has a file of the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// The new one gets a free name, as in `name (1).txt`.
    Rename,
    /// The new one takes its place.
    Overwrite,
}

/// What cannot be done with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: it is being received already, by another process", .0.display())]
    Busy(PathBuf),
    #[error("{}: it is no file", .0.display())]
    NoFile(PathBuf),
    #[error("{}: its name can't be sent", .0.display())]
    BadName(PathBuf),
}

impl FileError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    /// What the sender is told of it.
    pub(crate) const fn refusal(&self) -> Refusal {
        match self {
            Self::Busy(_) => Refusal::Exists,
            Self::BadName(_) | Self::NoFile(_) => Refusal::BadName,
            Self::Io { .. } => Refusal::CannotWrite,
        }
    }
}

/// A file to send.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: File,
    pub(crate) offer: Offer,
}

impl Source {
    /// Opens and hashes it; `progress` is told of bytes as they are read.
    pub(crate) fn open(path: &Path, progress: impl FnMut(u64)) -> Result<Self, FileError> {
        let mut file = File::open(path).map_err(FileError::at(path))?;
        if !file.metadata().map_err(FileError::at(path))?.is_file() {
            return Err(FileError::NoFile(path.to_owned()));
        }
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| FileName::parse(name).ok());
        let name = name.ok_or_else(|| FileError::BadName(path.to_owned()))?;
        let hasher = hash(&mut file, u64::MAX, progress).map_err(FileError::at(path))?;
        let offer = Offer { name, size: hasher.count(), hash: hasher.finalize() };
        Ok(Self { path: path.to_owned(), file, offer })
    }

    /// Whether its first `have` bytes have this hash.
    pub(crate) fn begins_with(&mut self, have: u64, hash_of_them: Hash) -> Result<bool, FileError> {
        self.seek(0)?;
        let hasher = hash(&mut self.file, have, |_| {}).map_err(FileError::at(&self.path))?;
        Ok(hasher.count() == have && hasher.finalize() == hash_of_them)
    }

    /// What is read next begins here.
    pub(crate) fn seek(&mut self, at: u64) -> Result<(), FileError> {
        self.file.seek(SeekFrom::Start(at)).map_err(FileError::at(&self.path)).map(drop)
    }

    /// Fills the buffer, except at the end of the file.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FileError> {
        let mut len = 0;
        while len < buffer.len() {
            match self.file.read(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FileError::at(&self.path)(error)),
            }
        }
        Ok(len)
    }
}

/// A file that is arriving.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    /// Opens what was kept of this file, or nothing; answers it with the hasher that has counted it.
    pub(crate) fn open(directory: &Path, offer: &Offer) -> Result<(Self, Hasher), FileError> {
        let path = directory.join(partial_name(offer));
        let failed = || FileError::at(&path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileError::Busy(path)),
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
        }
        if file.metadata().map_err(failed())?.len() > offer.size {
            file.set_len(0).map_err(failed())?;
        }
        let hasher = hash(&mut file, offer.size, |_| {}).map_err(failed())?;
        Ok((Self { path, file }, hasher))
    }

    /// Keeps so many bytes; what is written comes behind them.
    pub(crate) fn keep(&mut self, len: u64) -> Result<(), FileError> {
        let kept = self.file.set_len(len).and_then(|()| self.file.seek(SeekFrom::Start(len)));
        kept.map_err(FileError::at(&self.path)).map(drop)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(FileError::at(&self.path))
    }

    /// Gives the whole file its name; answers where it is.
    pub(crate) fn publish(self, directory: &Path, name: &FileName, clash: Clash) -> Result<PathBuf, FileError> {
        self.file.sync_all().map_err(FileError::at(&self.path))?;
        let target = match clash {
            Clash::Overwrite => directory.join(name.as_str()),
            Clash::Rename => reserve(directory, name)?,
        };
        fs::rename(&self.path, &target).map_err(FileError::at(&target))?;
        Ok(target)
    }

    /// Forgets what has arrived.
    pub(crate) fn discard(self) {
        _ = fs::remove_file(&self.path);
    }
}

/// Hashes what is read, up to a limit.
fn hash(file: &mut File, limit: u64, mut progress: impl FnMut(u64)) -> io::Result<Hasher> {
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 256 * 1024]);
    let mut file = file.take(limit);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher),
            Ok(len) => {
                hasher.update(&buffer[..len]);
                progress(len as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn partial_name(offer: &Offer) -> String {
    let suffix = format!(".{}.part", &offer.hash.to_hex()[..8]);
    let name = offer.name.as_str();
    let most = name.len().min(MAX_NAME - suffix.len());
    let end = (0..=most).rev().find(|at| name.is_char_boundary(*at)).unwrap_or_default();
    format!("{}{suffix}", &name[..end])
}

/// Creates an empty file of the name, or of the first free one like it, for the whole file to take its place: nobody
/// else can get that name in between.
fn reserve(directory: &Path, name: &FileName) -> Result<PathBuf, FileError> {
    for number in 0.. {
        let target = directory.join(numbered(name.as_str(), number));
        match File::create_new(&target) {
            Ok(_) => return Ok(target),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FileError::at(&target)(error)),
        }
    }
    unreachable!("there are more numbers than files")
}

fn numbered(name: &str, number: u64) -> String {
    if number == 0 {
        return name.to_owned();
    }
    match name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        Some((stem, extension)) => format!("{stem} ({number}).{extension}"),
        None => format!("{name} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_before_the_extension() {
        let names = ["a.txt", "a", ".profile", "a.tar.gz"].map(|name| numbered(name, 2));
        assert_eq!(names, ["a (2).txt", "a (2)", ".profile (2)", "a.tar (2).gz"]);
        assert_eq!(numbered("a.txt", 0), "a.txt");
    }

    #[test]
    fn a_file_that_exists_is_left_alone_and_the_new_one_gets_another_name() {
        let directory = directory("left-alone");
        fs::write(directory.join("a.txt"), "old").unwrap();
        let (offer, whole) = arrived(&directory, b"new");
        let path = whole.publish(&directory, &offer.name, Clash::Rename).unwrap();
        assert_eq!(path, directory.join("a (1).txt"));
        assert_eq!(fs::read(path).unwrap(), b"new");
        assert_eq!(fs::read(directory.join("a.txt")).unwrap(), b"old");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "the part is gone");
    }

    #[test]
    fn a_file_is_overwritten_if_that_is_asked_for() {
        let directory = directory("overwritten");
        fs::write(directory.join("a.txt"), "old").unwrap();
        let (offer, whole) = arrived(&directory, b"new");
        whole.publish(&directory, &offer.name, Clash::Overwrite).unwrap();
        assert_eq!(fs::read(directory.join("a.txt")).unwrap(), b"new");
    }

    #[test]
    fn what_was_kept_is_there_again_and_what_is_too_long_is_not() {
        let directory = directory("kept");
        let (offer, partial) = arrived(&directory, b"content");
        drop(partial);
        let (mut partial, hasher) = Partial::open(&directory, &offer).unwrap();
        assert_eq!((hasher.count(), hasher.finalize()), (7, offer.hash));
        partial.keep(3).unwrap();
        partial.write(b"and more than that").unwrap();
        drop(partial);
        assert_eq!(Partial::open(&directory, &offer).unwrap().1.count(), 0);
    }

    #[test]
    fn a_file_that_another_receives_is_not_touched() {
        let directory = directory("busy");
        let (offer, _partial) = arrived(&directory, b"content");
        let error = Partial::open(&directory, &offer).unwrap_err();
        assert!(matches!(error, FileError::Busy(_)), "{error}");
    }

    #[test]
    fn a_file_to_send_knows_its_beginnings() {
        let directory = directory("source");
        fs::write(directory.join("a.txt"), "content").unwrap();
        let mut source = Source::open(&directory.join("a.txt"), |_| {}).unwrap();
        assert_eq!((source.offer.size, source.offer.hash), (7, blake3::hash(b"content")));
        assert!(source.begins_with(3, blake3::hash(b"con")).unwrap());
        assert!(!source.begins_with(3, blake3::hash(b"cox")).unwrap());
        source.seek(3).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(source.read(&mut buffer).unwrap(), 4);
        assert!(matches!(Source::open(&directory, |_| {}), Err(FileError::NoFile(_))));
    }

    #[test]
    fn a_long_name_leaves_room_for_the_part() {
        let name = FileName::parse(&"ä".repeat(127)).unwrap();
        let offer = Offer { name, size: 0, hash: blake3::hash(b"") };
        assert!(partial_name(&offer).len() <= MAX_NAME);
    }

    fn arrived(directory: &Path, content: &[u8]) -> (Offer, Partial) {
        let name = FileName::parse("a.txt").unwrap();
        let offer = Offer { name, size: content.len() as u64, hash: blake3::hash(content) };
        let (mut partial, hasher) = Partial::open(directory, &offer).unwrap();
        assert_eq!(hasher.count(), 0);
        partial.keep(0).unwrap();
        partial.write(content).unwrap();
        (offer, partial)
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("switchboard-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }
}
