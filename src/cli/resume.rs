//! The command that goes on with a run, as a user can paste it.

use super::train::TrainArgs;

/// The command that goes on with this run: its settings are saved, its data and device are not.
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
    if args.device != "auto" {
        words.push(format!("--device {}", quoted(&args.device)));
    }
    if args.json {
        words.push("--json".into());
    }
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("runs/a-1.txt"), "runs/a-1.txt");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
        assert_eq!(quoted(""), "''");
    }
}
