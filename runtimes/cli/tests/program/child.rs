//! The built program as a child, which does not outlive its test.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Program {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

/// What a program that has ended leaves behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(&[], args)
    }

    /// Starts with these variables in its environment.
    pub(crate) fn start_in(variables: &[(&str, &str)], args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchboard"))
            .args(args)
            .env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/config"))
            .env_remove("SWITCHBOARD_RELAYS")
            .env_remove("SWITCHBOARD_ICE_SERVERS")
            .env_remove("SWITCHBOARD_CANDIDATES")
            .env_remove("SWITCHBOARD_ENGINE")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Starts `listen` and answers how to dial it.
    pub(crate) fn listen(args: &[&str]) -> (Self, String) {
        let mut program = Self::start(&[&["listen"], args].concat());
        let line = program.line();
        let string = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}{}", program.rest()));
        (program, string.to_owned())
    }

    /// Starts `relay` with these options, and answers how to dial it.
    pub(crate) fn relay(args: &[&str]) -> (Self, String) {
        let key = new_file(&format!("relay-{}.key", unique()));
        let mut program = Self::start(&[&["relay", "--key", key.to_str().unwrap()], args].concat());
        let string = program.line_after("listening on ");
        (program, string)
    }

    /// The rest of the first line of standard error that begins so.
    pub(crate) fn line_after(&mut self, beginning: &str) -> String {
        let mut before = String::new();
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
            before += &format!("{line}\n");
            assert!(!line.is_empty() && before.lines().count() < 20, "no line begins with {beginning:?}: {before}");
        }
    }

    /// The next line of standard error.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    pub(crate) fn end_input(&mut self) {
        self.child.stdin = None;
    }

    /// Its standard input, for who writes more than a pipe holds.
    pub(crate) fn take_input(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Its standard output, for who reads more than memory holds.
    pub(crate) fn take_output(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Stops reading what the program writes.
    pub(crate) fn close_output(&mut self) {
        self.child.stdout = None;
    }

    /// Reads so many bytes of standard output.
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.child.stdout.as_mut().unwrap().read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads one line of standard output.
    pub(crate) fn output_line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.extend(self.read(1));
        }
        String::from_utf8(line).unwrap()
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end, whatever it is.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let _watch = Watch::over(&self.child);
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout).unwrap();
        }
        let stderr = self.rest();
        let code = self.child.wait().as_ref().map(ExitStatus::code).unwrap();
        Ended { code, stdout, stderr }
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Kills a program that does not end: its test then fails, and shows what the program said.
struct Watch(#[allow(dead_code, reason = "its end is the message")] Sender<()>);

impl Watch {
    fn over(child: &Child) -> Self {
        let pid = child.id().to_string();
        let (sender, over) = channel();
        thread::spawn(move || {
            if over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        });
        Self(sender)
    }
}

/// Runs the program with this input.
pub(crate) fn run(args: &[&str], input: &[u8]) -> Ended {
    let mut program = Program::start(args);
    // One that ends at once does not read.
    _ = program.child.stdin.as_mut().unwrap().write_all(input);
    program.end_input();
    program.ended()
}

/// A number that no other call of this process gets.
pub(crate) fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A key file that does not exist yet.
pub(crate) fn new_key() -> String {
    new_file(&format!("{}.key", unique())).to_str().unwrap().to_owned()
}

/// An empty directory of this test's own.
pub(crate) fn new_directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// A file of this test's own that does not exist yet.
pub(crate) fn new_file(name: &str) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_file(&file);
    file
}
