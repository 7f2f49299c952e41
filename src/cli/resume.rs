//! The command that resumes a run, ready to be pasted into a shell.

use super::parallel::ParallelArgs;
use super::train_args::TrainArgs;
use crate::parallel::Layout;
use crate::platform::parallel::Choice;

/// Returns the command that resumes a run on the same ranks. Its settings are saved with it; data, device and hosts must be given
/// again.
pub fn resume_command(args: &TrainArgs, layout: Layout) -> String {
    let mut words = vec!["blankslate train --resume --out".to_string(), quoted(&args.out)];
    let ParallelArgs {
        zero,
        collective_timeout,
        collective,
        compare_weights,
        pipeline_schedule,
        ..
    } = &args.ranks;
    if layout.ranks() > 1 {
        words.insert(0, format!("mpirun -n {} --bind-to none", layout.ranks()));
        words.push(format!("--parallel {layout} --zero {zero}"));
        words.push(format!("--collective-timeout {collective_timeout}"));
        words.push(format!("--compare-weights {compare_weights}"));
        if *collective != Choice::default() {
            words.push(format!("--collective {collective}"));
        }
    }
    if layout.pp > 1 {
        words.push(format!("--pipeline-schedule {pipeline_schedule}"));
    }
    for (flag, paths) in [("--data", &args.data.data), ("--val-data", &args.val_data)] {
        if !paths.is_empty() {
            words.push(flag.into());
            words.extend(paths.iter().map(|path| quoted(&path.display().to_string())));
        }
    }
    if let Some(width) = &args.data.token_width {
        words.push(format!("--token-width {width}"));
    }
    if args.data.format.data_format != "auto" {
        words.push(format!("--data-format {}", args.data.format.data_format));
    }
    if args.data.special_tokens_in_text {
        words.push("--special-tokens-in-text".into());
    }
    if args.data.verify_data {
        words.push("--verify-data".into());
    }
    words.extend(
        args.log_to.iter().map(|target| format!("--log-to {}", quoted(&target.to_string()))),
    );
    if args.device != "auto" {
        words.push(format!("--device {}", quoted(&args.device)));
    }
    if args.json {
        words.push("--json".into());
    }
    words.join(" ")
}

/// Quotes a word for a shell where necessary.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("runs/a-1.txt"), "runs/a-1.txt");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
        assert_eq!(quoted(""), "''");
    }
}
