//! Processes of this program that play a role, and what they cost.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// A process in a role; ends with this value, and with its parent.
pub struct Actor {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    clock: ClockId,
}

impl Actor {
    /// Starts a role; answers also the first line that it says.
    pub fn start(role: &str, arguments: &[&str]) -> (Self, String) {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg(format!("role:{role}")).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts itself");
        let input = child.stdin.take().expect("it was piped");
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        let clock = clock_getcpuclockid(pid(&child)).expect("a child has a CPU clock");
        let mut actor = Self { child, input, output, clock };
        let first = actor.line();
        (actor, first)
    }

    /// The next line that it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a child's output can be read");
        assert!(line.ends_with('\n'), "a child has ended too early: {line:?}");
        line.trim_end().to_owned()
    }

    /// Says a line to it and waits for its answer.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("a child listens");
        self.line()
    }

    /// CPU time, user and system, of all its threads.
    pub fn cpu(&self) -> Duration {
        clock_gettime(self.clock).expect("a running process has a CPU clock").into()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a child runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("its size is a number");
        kib * 1024.0
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.child.kill().expect("a child can be ended");
        self.child.wait().expect("a child that was ended ends");
    }
}

/// What a child does first: it does not outlive its parent, and has the same means.
pub fn prepare(cpu: usize) {
    set_pdeathsig(Signal::SIGKILL).expect("a process may choose how it ends");
    raise_descriptor_limit();
    pin(cpu);
}

/// As many descriptors as the system allows.
pub fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be as high as the hard one");
}

/// Stays on the `nth` of the CPUs that this process may use, if there are so many.
pub fn pin(nth: usize) {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("the CPUs can be read");
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let Some(cpu) = cpus.nth(nth) else { return };
    let mut one = CpuSet::new();
    one.set(cpu).expect("it is one of them");
    sched_setaffinity(this, &one).expect("a process may use fewer CPUs");
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids are small"))
}
