//! The data of a run: one source, or a mixture of several by weight, `--data DIR:WEIGHT`.

use std::path::{Path, PathBuf};

use super::data::{DataArgs, Source};
use crate::config::DataKind;
use crate::data::Corpus;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Sources, each with its name and weight. One source alone has neither.
pub struct TrainingData {
    sources: Vec<Source>,
    shares: Vec<(String, f64)>,
}

impl TrainingData {
    /// Reads all data. If a path has a weight, each is a source of its own, and those without one have the weight 1.
    ///
    /// # Errors
    /// As [`Source::read`]; a weight is not positive; a mixture is of anything but texts.
    pub fn read(args: &DataArgs, out: Option<&Path>) -> Result<Self> {
        let weighted: Vec<Option<(PathBuf, f64)>> =
            args.data.iter().map(|path| split_weight(path)).collect::<Result<_>>()?;
        if weighted.iter().all(Option::is_none) {
            return Ok(Self { sources: vec![Source::read(args, out)?], shares: Vec::new() });
        }
        let mut data = Self { sources: Vec::new(), shares: Vec::new() };
        for (path, weighted) in args.data.iter().zip(weighted) {
            let (path, weight) = weighted.unwrap_or_else(|| (path.clone(), 1.0));
            let name = path.display().to_string();
            let source = Source::read(&DataArgs { data: vec![path], ..args.clone() }, out)?;
            if source.kind() != DataKind::Text {
                let problem = format!("{name} holds no text, which a mixture is made of");
                return Err(Error::config("data", problem, "leave the weights out"));
            }
            if data.shares.iter().any(|(other, _)| *other == name) {
                let remedy = "name it once, with the sum of the weights";
                return Err(Error::config("data", format!("{name} is named twice"), remedy));
            }
            data.sources.push(source);
            data.shares.push((name, weight));
        }
        Ok(data)
    }

    /// Splits off the validation shards of all sources. If any source has some, sources without them have no validation data.
    pub fn take_validation(&mut self) -> Option<Self> {
        let mut validation = Self { sources: Vec::new(), shares: Vec::new() };
        for (index, source) in self.sources.iter_mut().enumerate() {
            if let Some(found) = source.take_validation() {
                validation.sources.push(found);
                validation.shares.extend(self.shares.get(index).cloned());
            }
        }
        (!validation.sources.is_empty()).then_some(validation)
    }

    /// Returns the kind of data.
    pub fn kind(&self) -> DataKind {
        self.sources.first().map(Source::kind).unwrap_or_default()
    }

    /// Returns the sources.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Returns true if some of it is prepared data.
    pub fn is_prepared(&self) -> bool {
        self.sources.iter().any(|source| source.prepared_folder().is_some())
    }

    /// Returns the paths as they were given, for messages.
    pub fn describe(&self) -> String {
        self.sources.iter().map(Source::describe).collect::<Vec<_>>().join(", ")
    }

    /// Describes the numbers of texts and shards, and the weights.
    pub fn summary(&self) -> String {
        let summaries = self.sources.iter().map(Source::summary);
        if self.shares.is_empty() {
            return summaries.collect::<Vec<_>>().join(", ");
        }
        let all: f64 = self.shares.iter().map(|(_, weight)| weight).sum();
        let describe = |((name, weight), summary): (&(String, f64), String)| {
            let percent = 100.0 * weight / all;
            match summary == *name {
                true => format!("{percent:.1} % {name}"),
                false => format!("{percent:.1} % {name} ({summary})"),
            }
        };
        self.shares.iter().zip(summaries).map(describe).collect::<Vec<_>>().join(", ")
    }

    /// Returns all tokens.
    ///
    /// # Errors
    /// As [`Source::corpus`].
    pub fn corpus(&self, tokenizer: &Tokenizer, seq_len: usize) -> Result<Corpus> {
        let mut corpora = self.sources.iter().map(|source| source.corpus(tokenizer, seq_len));
        if self.shares.is_empty() {
            return corpora.next().unwrap_or_else(|| Ok(Corpus::default()));
        }
        let parts = self
            .shares
            .iter()
            .zip(corpora)
            .map(|((name, weight), corpus)| Ok((name.clone(), *weight, corpus?)));
        Ok(Corpus::mixed(parts.collect::<Result<_>>()?))
    }
}

/// Splits `PATH:WEIGHT`; none if the path has no weight, or is one of a file with such a name.
fn split_weight(path: &Path) -> Result<Option<(PathBuf, f64)>> {
    let Some((name, weight)) = path.to_str().and_then(|text| text.rsplit_once(':')) else {
        return Ok(None);
    };
    let Ok(weight) = weight.parse::<f64>() else { return Ok(None) };
    if path.exists() {
        return Ok(None);
    }
    if !(weight.is_finite() && weight > 0.0) {
        let problem = format!("the weight of {name} must be positive, but is {weight}");
        return Err(Error::config("data", problem, "leave a source out instead"));
    }
    Ok(Some((name.into(), weight)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_last_colon() {
        let split = |text: &str| split_weight(Path::new(text)).unwrap();
        assert_eq!(split("a/b:0.25"), Some(("a/b".into(), 0.25)));
        assert_eq!(split("example:stories:2"), Some(("example:stories".into(), 2.0)));
        assert_eq!(split("example:stories"), None);
        assert_eq!(split("C:\\data"), None);
        assert_eq!(split("plain"), None);
        for wrong in ["a:0", "a:-1", "a:inf", "a:nan"] {
            assert!(split_weight(Path::new(wrong)).is_err(), "{wrong}");
        }
    }
}
