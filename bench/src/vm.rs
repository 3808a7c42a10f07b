//! Running a program of this machine under another kernel, through `bench/vm/run`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::namespace::run;
use crate::{Implementation, Result, programs};

/// A Debian kernel to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Debian 12's own, the oldest that Weir supports.
    V6_1,
    /// The newest that Debian 12 offers beside it.
    V6_12,
}

/// A virtual machine for one command. It has two CPUs without AVX-512, busybox, ip, wg, ping, iperf3 and ethtool, the
/// modules veth, tun and wireguard, and no network but what the command makes.
#[derive(Clone, Debug)]
pub struct Guest {
    kernel: Kernel,
    modules: Vec<String>,
    programs: Vec<String>,
    files: Vec<String>,
    limit: Duration,
}

impl Kernel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];

    fn series(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }
}

impl Guest {
    /// A machine with this kernel, which may run for two minutes.
    pub fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            modules: ["veth", "tun", "wireguard"].map(str::to_owned).into(),
            programs: Vec::new(),
            files: Vec::new(),
            limit: Duration::from_secs(120),
        }
    }

    /// Loads another module.
    pub fn module(mut self, name: &str) -> Self {
        self.modules.push(name.to_owned());
        self
    }

    /// Brings a program of this machine, with its libraries, to the guest's PATH under its own name.
    pub fn program(mut self, path: &Path) -> Self {
        self.programs.push(path.display().to_string());
        self
    }

    /// Brings a file to a path of the guest.
    pub fn file(mut self, path: &Path, guest_path: &str) -> Self {
        self.files.push(format!("{}:{guest_path}", path.display()));
        self
    }

    /// Lets it run for this long.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Boots, runs a command in the guest's dash, and returns what it printed. A status other than 0 is an error that
    /// holds the output.
    ///
    /// An emulated machine takes a core and a bit, and its tests wait for traffic no longer than for a real one's: the
    /// machines of a process that are more than half of its cores wait for each other.
    pub fn run(&self, command: &str) -> Result<String> {
        let _place = Place::take();
        let program: PathBuf = programs::root().join("bench/vm/run");
        run(Command::new(program)
            .args(["-k", self.kernel.series()])
            .args(["-m", &self.modules.join(" ")])
            .args(["-p", &self.programs.join(" ")])
            .args(["-f", &self.files.join(" ")])
            .args(["-t", &self.limit.as_secs().to_string()])
            .args(["--", command])
            .stdin(Stdio::null()))
    }
}

/// How many machines run, and who waits for one to end.
static RUNNING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// One machine's place among those that run at a time.
struct Place;

impl Place {
    fn take() -> Self {
        let most = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let (running, ended) = &RUNNING;
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = ended
            .wait_while(running, |running| *running >= most)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (running, ended) = &RUNNING;
        *running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ended.notify_one();
    }
}

/// The environment variable by which a test knows that it runs in the guest.
const GUEST_VARIABLE: &str = "WEIR_GUEST";

/// How long a test may run in the guest, which is emulated and slow.
const GUEST_TEST_LIMIT: Duration = Duration::from_secs(300);

/// Runs the test that calls this once more, inside a virtual machine, and panics with its output if it fails there.
/// Returns whether the caller is the one inside, and shall thus do the work:
///
/// ```no_run
/// # use weir_bench::{Implementation, vm};
/// // #[test]
/// fn peers_talk_on_the_oldest_kernel() {
///     if vm::outside(vm::Kernel::V6_1, "peers_talk_on_the_oldest_kernel", &[Implementation::WireguardGo]) {
///         return;
///     }
///     // The guest's kernel has WireGuard: Implementation::Kernel works here.
/// }
/// ```
pub fn outside(kernel: Kernel, test: &str, implementations: &[Implementation]) -> bool {
    if std::env::var_os(GUEST_VARIABLE).is_some() {
        return false;
    }
    let program = std::env::current_exe().expect("a running test has a path");
    let name = program
        .file_name()
        .expect("a program has a name")
        .to_string_lossy()
        .into_owned();
    let mut guest = Guest::new(kernel).limit(GUEST_TEST_LIMIT).program(&program);
    for implementation in implementations {
        match implementation.program() {
            Ok(Some(path)) => guest = guest.program(&path),
            Ok(None) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let command =
        format!("RUST_BACKTRACE=0 {GUEST_VARIABLE}=1 {name} --exact {test} --nocapture --test-threads 1");
    if implementations.contains(&Implementation::Weir) {
        // A gateway is asked by the one, and clamps segments with the other.
        match programs::weir("weir") {
            Ok(path) => guest = guest.program(&path).module("nf_tables"),
            Err(error) => panic!("{error}"),
        }
    }
    match guest.program(Path::new("traceroute")).run(&command) {
        Ok(output) if output.contains("test result: ok. 1 passed") => true,
        Ok(output) => panic!("{kernel:?}: no test named {test} ran:\n{output}"),
        Err(error) => panic!("{kernel:?}: {error}"),
    }
}
