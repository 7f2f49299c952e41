//! Runs libFuzzer on one target: `fuzz TARGET FOLDER [ARGUMENT]...`. `cargo xtask fuzz` builds and starts it.
//!
//! `FOLDER` gets the seeds, the inputs that reached new code, and those that failed. The arguments are libFuzzer's; an
//! argument that is a file is run once instead. Without arguments, the targets are listed.

use std::ffi::{CString, c_char, c_int};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use blankslate_fuzz::{TARGETS, Target};
// Links libFuzzer.
use libfuzzer_sys as _;

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/common/memory.rs"]
mod memory;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

static TARGET: OnceLock<&Target> = OnceLock::new();

unsafe extern "C" {
    /// libFuzzer's main function (`FuzzerInterface.h`).
    fn LLVMFuzzerRunDriver(
        count: *mut c_int,
        arguments: *mut *mut *mut c_char,
        run: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(folder)) = (arguments.next(), arguments.next()) else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return Ok(());
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("fuzz: `{name}` is not a target; use one of {}", known.join(", "));
        std::process::exit(2);
    };
    let Prepared { mut options, folders } = prepare(target, Path::new(&folder))?;
    let given: Vec<String> = arguments.collect();
    if given.iter().all(|argument| argument.starts_with('-')) {
        options.extend(folders);
    }
    options.extend(given);
    let _ = TARGET.set(target);
    let print_panic = std::panic::take_hook();
    // Before unwinding, so that libFuzzer sees the failure where it is and keeps the input.
    std::panic::set_hook(Box::new(move |panic| {
        print_panic(panic);
        std::process::abort();
    }));
    std::process::exit(fuzz(options))
}

/// libFuzzer's arguments for a target.
struct Prepared {
    /// Name of the program, dictionary, and limits on time and memory.
    options: Vec<String>,
    /// Folders of inputs; new ones are written to the first.
    folders: [String; 2],
}

/// Writes the seeds and the dictionary of a target.
fn prepare(target: &Target, folder: &Path) -> std::io::Result<Prepared> {
    let [corpus, seeds, findings] = ["corpus", "seeds", "findings"].map(|name| folder.join(name));
    for folder in [&corpus, &seeds, &findings] {
        fs::create_dir_all(folder)?;
    }
    let mut longest = 4096;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(seeds.join(number.to_string()), seed)?;
        longest = longest.max(seed.len());
    }
    let words = target.words();
    let quoted = words.iter().map(|word| {
        let bytes: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{bytes}\"\n")
    });
    let dictionary = folder.join("dictionary");
    fs::write(&dictionary, quoted.collect::<String>())?;
    let options = vec![
        "fuzz".into(),
        format!("-dict={}", dictionary.display()),
        format!("-artifact_prefix={}/", findings.display()),
        format!("-max_len={longest}"),
        "-timeout=10".into(),
        "-rss_limit_mb=2048".into(),
        "-print_final_stats=1".into(),
    ];
    let folders = [corpus, seeds].map(|folder| folder.display().to_string());
    Ok(Prepared { options, folders })
}

fn fuzz(options: Vec<String>) -> i32 {
    let texts: Vec<CString> =
        options.into_iter().map(|text| CString::new(text).expect("no zero byte")).collect();
    let mut pointers: Vec<*mut c_char> =
        texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    let mut count = texts.len() as c_int;
    let mut arguments = pointers.as_mut_ptr();
    // SAFETY: `arguments` are `count` strings and a null pointer, as `main` of C gets them, and outlive the call.
    unsafe { LLVMFuzzerRunDriver(&mut count, &mut arguments, run) }
}

/// Runs the target on an input.
extern "C" fn run(bytes: *const u8, length: usize) -> c_int {
    let input = match length {
        0 => &[],
        // SAFETY: libFuzzer passes `length` bytes that it does not change during the call.
        _ => unsafe { std::slice::from_raw_parts(bytes, length) },
    };
    let target = TARGET.get().expect("it is set before libFuzzer starts");
    let (outcome, most) = memory::most_held(|| (target.check)(input));
    assert!(most <= (target.memory_limit)(length), "{length} bytes took {most} bytes of memory");
    if let Err(error) = outcome {
        assert!(!error.to_string().trim().is_empty(), "{error:?} has no message");
    }
    0
}
