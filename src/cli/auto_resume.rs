//! The checkpoint that `--auto-resume` continues from.

use super::stderr::note;
use super::train_args::TrainArgs;
use crate::checkpoint::{Checkpoint, unpack};
use crate::error::{Error, Result};
use crate::run::directory::RunDir;

/// Loads the newest checkpoint of the run in `out` that is not damaged. Damaged ones are reported, and stay until a later save
/// replaces them.
///
/// # Errors
/// All checkpoints are damaged (the error is that of the newest); a file cannot be read, or has a newer format version, in which
/// case resuming from an older checkpoint would replace good ones.
pub async fn load_newest_good(directory: &RunDir, out: &str) -> Result<Checkpoint> {
    let steps = directory.steps().await?;
    if steps.is_empty() {
        return unpack(directory.load().await?, out);
    }
    let mut damage = None;
    for step in steps.into_iter().rev() {
        let place = format!("{out}/{}", RunDir::path_of(step));
        let error = match directory.load_step(step).await.and_then(|files| unpack(files, &place)) {
            Ok(loaded) => {
                if damage.is_some() {
                    note(&format!("resuming from the older checkpoint of step {step}"));
                }
                return Ok(loaded);
            }
            Err(error) if is_damage(&error) => error,
            Err(error) => return Err(error),
        };
        note(&format!("the checkpoint of step {step} is damaged: {error}"));
        damage = damage.or(Some(error));
    }
    Err(damage.expect("there is a checkpoint, and none that is good"))
}

/// Returns true if an error is about the content of a checkpoint.
fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::Malformed { .. }
            | Error::MissingFile { .. }
            | Error::MissingTensor { .. }
            | Error::Shape { .. }
            | Error::NonFiniteWeight { .. }
    )
}

/// Prints the given flags that are ignored because the run resumes.
pub fn note_unused(args: &TrainArgs) {
    let flags = [
        ("--preset", args.base.preset.is_some()),
        ("--tokenizer", args.tokenizer.is_some()),
        ("--pattern", args.pattern.is_some()),
        ("--from", args.from.is_some()),
    ];
    let given: Vec<&str> =
        flags.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect();
    if !given.is_empty() {
        let (flags, out) = (given.join(", "), &args.out);
        note(&format!("{out} holds a run, which resumes: {flags} would only apply to its start"));
    }
}
