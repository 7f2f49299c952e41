//! The fake library, and jobs whose ranks load it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use blankslate::error::Result;
use blankslate::parallel::Collective;
use blankslate::platform::block_on;
use blankslate::platform::parallel::{Choice, Connection, join, launched};

use crate::launch::mpirun;
use crate::support::{Outcome, outcome};

/// Compiles a library and returns its folder.
fn compile(name: &str, source: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]);
    compiler.arg("-o").arg(folder.join("libnccl.so.2")).arg(source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler, as Rust needs for linking").success());
    folder
}

/// The folder of the fake.
fn library() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/nccl/nccl.c");
    FOLDER.get_or_init(|| compile("nccl", &source))
}

/// The folder of a library of that name without any function.
pub fn empty_library() -> PathBuf {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty.c");
    fs::write(&source, "typedef int nothing;\n").unwrap();
    compile("nccl-empty", &source)
}

/// Makes a job search `folder` for libraries first.
pub fn look_in(command: &mut Command, folder: &Path) {
    let inherited = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = [folder.to_path_buf()].into_iter().chain(env::split_paths(&inherited));
    command.env("LD_LIBRARY_PATH", env::join_paths(folders).unwrap());
}

/// `mpirun` for ranks that find the fake and may share a GPU. They exchange files in `folder`, where the fake's log is, too.
pub fn with_fake(arguments: &str, folder: &Path) -> Command {
    let mut command = without_fake(arguments);
    look_in(&mut command, library());
    command.env("NCCL_MULTI_RANK_GPU_ENABLE", "1").env("FAKE_NCCL_DIR", folder);
    command
}

/// `mpirun` for ranks without the fake. The log of a simulated driver is not read, since ranks would overwrite it.
pub fn without_fake(arguments: &str) -> Command {
    let mut command = mpirun(arguments);
    command.env_remove("CUDASIM_DIR").env("CUDASIM_RACES", "0");
    command
}

/// Arguments of `mpirun` that start a test of this program on each rank.
pub fn role(ranks: usize, test: &str) -> String {
    let own = env::current_exe().unwrap();
    format!("-n {ranks} {} --exact {test} --nocapture", own.display())
}

/// Runs a job to its end.
pub fn run(mut command: Command) -> Outcome {
    outcome(command.output().expect("mpirun is installed with MPI"))
}

/// The log of the fake.
pub fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// The ranks of a job, and how they are connected.
pub type Connected = Result<(Arc<dyn Collective>, Option<Connection>)>;

/// Joins the ranks of a job, in a test that is the role of one of them; none in a process that no launcher started.
pub fn connect(choice: Choice, timeout: Duration) -> Option<Connected> {
    launched()?;
    Some(join(None, timeout).and_then(|joined| block_on(joined.connect(choice, "cuda"))))
}

/// [`connect`], where NCCL must be there.
pub fn through_nccl(timeout: Duration) -> Option<Arc<dyn Collective>> {
    let (ranks, connection) = connect(Choice::Nccl, timeout)?.unwrap();
    assert!(connection.unwrap().nccl.is_some());
    Some(ranks)
}
