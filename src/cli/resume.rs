//! The command that resumes a run, ready to be pasted into a shell.

use super::train_args::TrainArgs;

/// Returns the command that resumes a run. Its settings are saved with it; data and device must be given again.
pub fn resume_command(args: &TrainArgs) -> String {
    let mut words = vec!["blankslate train --resume --out".to_string(), quoted(&args.out)];
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
    if args.device != "auto" {
        words.push(format!("--device {}", quoted(&args.device)));
    }
    if args.json {
        words.push("--json".into());
    }
    words.join(" ")
}

/// Quotes a word for a shell where necessary.
fn quoted(word: &str) -> String {
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
