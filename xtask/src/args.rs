//! Command-line arguments: flags and `--name value` options, taken out one by one.

use anyhow::Result;
use std::fmt;
use std::str::FromStr;

/// A mistake on the command line; `main` adds the usage text and exits with 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The arguments that nothing has taken yet.
pub struct Args {
    left: Vec<String>,
    /// What stood after `--`.
    pub rest: Vec<String>,
}

impl Args {
    /// The arguments of this process.
    pub fn from_env() -> Self {
        Self::new(std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()))
    }

    fn new(args: impl Iterator<Item = String>) -> Self {
        let mut left: Vec<String> = args.collect();
        let mut rest = Vec::new();
        if let Some(at) = left.iter().position(|arg| arg == "--") {
            rest = left.split_off(at + 1);
            left.pop();
        }
        Self { left, rest }
    }

    /// Takes the first argument: the command.
    pub fn command(&mut self) -> Option<String> {
        (!self.left.is_empty()).then(|| self.left.remove(0))
    }

    /// Takes the flag `name`; true if it was there.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.left.len();
        self.left.retain(|arg| arg != name);
        self.left.len() < before
    }

    /// Takes `name value` or `name=value`, the first there is.
    pub fn option(&mut self, name: &str) -> Result<Option<String>> {
        let prefix = format!("{name}=");
        if let Some(at) = self.left.iter().position(|arg| arg.starts_with(&prefix)) {
            return Ok(Some(self.left.remove(at).split_off(prefix.len())));
        }
        let Some(at) = self.left.iter().position(|arg| arg == name) else { return Ok(None) };
        self.left.remove(at);
        if at == self.left.len() || self.left[at].starts_with("--") {
            return Err(Usage(format!("{name} needs a value")).into());
        }
        Ok(Some(self.left.remove(at)))
    }

    /// Takes an option and parses it, as a number for instance.
    pub fn parsed<T: FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.option(name)? else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Usage(format!("{name} does not take `{text}`")).into()),
        }
    }

    /// To be called last: whatever is left is not known.
    pub fn finish(self) -> Result<()> {
        match self.left.first() {
            Some(arg) => Err(Usage(format!("unexpected argument `{arg}`")).into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn takes_flags_options_and_the_rest() {
        let mut a = args("web --open --port 81 --only=fmt --only clippy -- --port 5");
        assert_eq!(a.command().as_deref(), Some("web"));
        assert!(a.flag("--open") && !a.flag("--open"));
        assert_eq!(a.parsed("--port").unwrap(), Some(81_u16));
        assert_eq!(a.option("--only").unwrap().as_deref(), Some("fmt"));
        assert_eq!(a.option("--only").unwrap().as_deref(), Some("clippy"));
        assert_eq!(a.option("--only").unwrap(), None);
        assert_eq!(a.rest, ["--port", "5"]);
        a.finish().unwrap();
    }

    #[test]
    fn mistakes_are_usage_errors() {
        assert!(args("--port").option("--port").unwrap_err().is::<Usage>());
        assert!(args("--port --open").option("--port").unwrap_err().is::<Usage>());
        assert!(args("--port x").parsed::<u16>("--port").unwrap_err().is::<Usage>());
        assert!(args("--nonsense").finish().unwrap_err().is::<Usage>());
    }
}
