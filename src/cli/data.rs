//! Reads the data that `--data` names: text files, folders, standard input and token shards.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use memmap2::Mmap;
use rayon::prelude::*;

use super::dataset::{
    check_contents, check_sizes, check_tokenizer, is_prepared, is_unfinished, read_manifest,
};
use super::folder::Folder;
use super::stderr::note;
use crate::config::DataKind;
use crate::data::prepared::{MANIFEST, Manifest, Split};
use crate::data::{Corpus, TokenWidth, Tokens, generate_dataset, parse_shard};
use crate::error::{Error, Result};
use crate::run::data::Examples;
use crate::run::source::DataFormat;
use crate::tokenizer::Tokenizer;

/// Public-domain plays, the default data; see `assets/text/PROVENANCE.md`.
const EMBEDDED: &str = include_str!("../../assets/text/shakespeare.txt");
/// Prefix of the name of a synthetic dataset.
const EXAMPLE: &str = "example:";

/// The options that name data.
#[derive(Args, Clone)]
pub struct DataArgs {
    /// Text files, folders (read recursively or made by `blankslate data prepare`), - for standard input, token shards (.bin, .u16, .u32), a synthetic dataset
    /// (example:stories, example:sums, example:sorting, example:reversing), or JSON: one record a line, or one list.
    /// Records are texts ({"text": …}), conversations ({"messages": …}, ShareGPT's {"conversations": …}, Alpaca's
    /// {"instruction": …, "output": …}) or, with --from, preference pairs ({"prompt": …, "chosen": …, "rejected": …})
    /// [default: embedded plays by Shakespeare]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub format: FormatArg,
    /// Width of the tokens in .bin shards without a header [default: from the vocabulary size]
    #[arg(long, value_parser = ["u16", "u32"])]
    pub token_width: Option<String>,
    /// Recognize special tokens in texts, such as <|endoftext|> between two documents, instead of encoding their letters
    #[arg(long)]
    pub special_tokens_in_text: bool,
    /// Verify the checksums of prepared data first, even above 1 GiB
    #[arg(long)]
    pub verify_data: bool,
}

/// The option that says how data is read.
#[derive(Args, Clone)]
pub struct FormatArg {
    /// Format of the data: detected by name and content (auto), plain text (text), or as auto, with records of a "prompt"
    /// and a "completion" read as questions and answers (prompt-completion)
    #[arg(long, value_name = "FORMAT", value_parser = DataFormat::NAMES.map(|(name, _)| name), default_value = DataFormat::NAMES[0].0)]
    pub data_format: String,
}

impl FormatArg {
    fn format(&self) -> DataFormat {
        let mut known = DataFormat::NAMES.into_iter();
        known
            .find(|(name, _)| *name == self.data_format)
            .map(|(_, format)| format)
            .unwrap_or_default()
    }
}

/// The contents of some paths.
pub struct Source {
    examples: Examples,
    format: DataFormat,
    shards: Vec<Shard>,
    width: Option<TokenWidth>,
    paths: Vec<PathBuf>,
    /// Folders of prepared data, with their manifests.
    prepared: Vec<(PathBuf, Manifest)>,
    verifies: bool,
}

/// A file of tokens.
#[derive(Clone)]
struct Shard {
    path: PathBuf,
    /// Width of its tokens, if a manifest specifies it.
    width: Option<TokenWidth>,
    is_val: bool,
}

/// Maximum size in bytes of prepared data whose checksums are always verified.
const VERIFIED: u64 = 1 << 30;

impl Source {
    /// Reads all texts and finds all shards; without a path, takes the embedded text. Runs below folders, and the directory
    /// `out` of the current one, are left out with a note.
    ///
    /// # Errors
    /// A path cannot be read, is not UTF-8 or is empty; there is more than one kind of data.
    pub fn read(args: &DataArgs, out: Option<&Path>) -> Result<Self> {
        let width = args.token_width.as_deref().map(|width| match width {
            "u32" => TokenWidth::U32,
            _ => TokenWidth::U16,
        });
        let paths = args.data.clone();
        let format = args.format.format();
        let special_tokens = args.special_tokens_in_text;
        let examples = Examples::default().with_special_tokens(special_tokens);
        let (shards, prepared, verifies) = (Vec::new(), Vec::new(), args.verify_data);
        let mut source = Self { examples, shards, width, paths, format, prepared, verifies };
        if args.data.is_empty() {
            source.examples.add("the embedded text", EMBEDDED, DataFormat::Text)?;
        }
        for path in &args.data {
            source.add(path, out)?;
        }
        let what = source.describe();
        match source.examples.kind(&what) {
            Err(Error::EmptyData { .. }) if !source.shards.is_empty() => Ok(source),
            Ok(DataKind::Conversations | DataKind::Preferences) if !source.shards.is_empty() => {
                let problem = format!("{what} contains both token shards and chat data");
                Err(Error::config("data", problem, "give only one kind"))
            }
            Ok(_) => Ok(source),
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, path: &Path, out: Option<&Path>) -> Result<()> {
        if let Some(name) = path.to_str().and_then(|path| path.strip_prefix(EXAMPLE)) {
            let text = generate_dataset(name)?;
            return self.examples.add(&path.display().to_string(), text, DataFormat::Text);
        }
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map_err(|e| Error::io("standard input", e))?;
            return self.add_text("standard input".into(), bytes);
        }
        if path.is_dir() {
            return self.add_folder(path, out);
        }
        if is_shard(path) {
            self.shards.push(Shard::named(path.into()));
            return Ok(());
        }
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        self.add_text(path.display().to_string(), bytes)
    }

    fn add_text(&mut self, name: String, bytes: Vec<u8>) -> Result<()> {
        let text = Error::decode(&name, bytes)?;
        self.examples.add(&name, text, self.format)
    }

    /// Adds the shards of a folder or, if it has none, its texts: .txt and .md files and all others that are UTF-8. Other
    /// files beside shards are usually the scripts that made them.
    fn add_folder(&mut self, folder: &Path, out: Option<&Path>) -> Result<()> {
        if is_prepared(folder) || is_unfinished(folder) {
            return self.add_prepared(folder);
        }
        let Folder { mut files, runs } = Folder::list(folder, out)?;
        if !runs.is_empty() {
            let runs: Vec<String> = runs.iter().map(|run| run.display().to_string()).collect();
            note(&format!("the files of runs are left out of the data: {}", runs.join(", ")));
        }
        let manifests = files.iter().filter(|file| file.ends_with(MANIFEST));
        let prepared: Vec<PathBuf> = manifests
            .filter_map(|file| file.parent().map(PathBuf::from))
            .filter(|folder| is_prepared(folder))
            .collect();
        files.retain(|file| !prepared.iter().any(|folder| file.starts_with(folder)));
        prepared.iter().try_for_each(|folder| self.add_prepared(folder))?;
        let shards: Vec<PathBuf> = files.iter().filter(|file| is_shard(file)).cloned().collect();
        if !shards.is_empty() {
            self.shards.extend(shards.into_iter().map(Shard::named));
            return Ok(());
        }
        for file in files {
            let bytes = fs::read(&file).map_err(|e| Error::io(&file, e))?;
            let text =
                file.extension().is_some_and(|extension| extension == "txt" || extension == "md");
            if text || std::str::from_utf8(&bytes).is_ok() {
                self.add_text(file.display().to_string(), bytes)?;
            }
        }
        Ok(())
    }

    /// Adds the shards of a folder that `blankslate data prepare` made, after checking their sizes and, up to a limit, contents.
    fn add_prepared(&mut self, folder: &Path) -> Result<()> {
        let manifest = read_manifest(folder)?;
        check_sizes(folder, &manifest)?;
        let bytes: u64 = manifest.shards().map(|(_, shard)| shard.bytes).sum();
        if self.verifies || bytes <= VERIFIED {
            check_contents(folder, &manifest)?;
        } else {
            let folder = folder.display();
            note(&format!(
                "only the sizes of the shards in {folder} were checked; --verify-data compares checksums"
            ));
        }
        let width = Some(manifest.token_width);
        self.shards.extend(manifest.shards().map(|(split, shard)| Shard {
            path: folder.join(&shard.file),
            width,
            is_val: split == Split::Validation,
        }));
        self.prepared.push((folder.into(), manifest));
        Ok(())
    }

    /// Returns the folder of prepared data, if there is any. Its tokenizer applies to all of the data.
    pub fn prepared_folder(&self) -> Option<&Path> {
        self.prepared.first().map(|(folder, _)| folder.as_path())
    }

    /// Splits off the validation shards: those of a manifest or with "val" in their names, unless there is nothing else to train on.
    pub fn take_validation(&mut self) -> Option<Self> {
        let (val, train): (Vec<_>, Vec<_>) =
            self.shards.iter().cloned().partition(|shard| shard.is_val);
        if val.is_empty() || (train.is_empty() && self.examples.documents.is_empty()) {
            return None;
        }
        self.shards = train;
        let paths = val.iter().map(|shard| shard.path.clone()).collect();
        let Self { width, format, verifies, .. } = *self;
        let (examples, prepared) = (Examples::default(), self.prepared.clone());
        Some(Self { examples, shards: val, width, paths, format, prepared, verifies })
    }

    /// Returns the kind of data. Shards are text.
    pub fn kind(&self) -> DataKind {
        self.examples.kind("").unwrap_or_default()
    }

    /// Returns the texts, to train a tokenizer on.
    ///
    /// # Errors
    /// There are token shards, whose text is unknown.
    pub fn texts(&self) -> Result<impl Iterator<Item = Cow<'_, str>>> {
        match self.shards.first() {
            Some(shard) => Err(Error::config(
                "--tokenizer",
                format!(
                    "{} holds tokens, but a tokenizer is trained on text",
                    shard.path.display()
                ),
                "give the tokenizer.json that made the tokens",
            )),
            None => Ok(self.examples.texts()),
        }
    }

    /// Returns the size of all texts in bytes.
    pub fn text_bytes(&self) -> u64 {
        self.examples.text_bytes()
    }

    /// Returns the paths as they were given, for messages.
    pub fn describe(&self) -> String {
        match self.paths.as_slice() {
            [] => "the embedded text".into(),
            paths => {
                paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// Returns all tokens: those of texts, conversations and preference pairs as in [`Examples::corpus`], and each shard as a
    /// segment of its own.
    ///
    /// # Errors
    /// As [`Examples::corpus`]; a shard cannot be read; there is no token.
    pub fn corpus(&self, tokenizer: &Tokenizer, seq_len: usize) -> Result<Corpus> {
        let run_all = |jobs: usize, job: &(dyn Fn(usize) + Sync)| {
            (0..jobs).into_par_iter().for_each(job);
        };
        let mut corpus = self.examples.corpus(tokenizer, seq_len, run_all)?;
        for (folder, manifest) in &self.prepared {
            check_tokenizer(folder, manifest, tokenizer)?;
        }
        for shard in &self.shards {
            corpus.segments.push(self.open_shard(shard, tokenizer)?);
        }
        if corpus.is_empty() {
            return Err(Error::EmptyData { what: self.describe() });
        }
        Ok(corpus)
    }

    fn open_shard(&self, shard: &Shard, tokenizer: &Tokenizer) -> Result<Tokens> {
        let by_size =
            if tokenizer.vocab_size() > 1 << 16 { TokenWidth::U32 } else { TokenWidth::U16 };
        let path = &shard.path;
        let by_name = match path.extension().and_then(|extension| extension.to_str()) {
            Some("u16") => Some(TokenWidth::U16),
            Some("u32") => Some(TokenWidth::U32),
            _ => None,
        };
        let width = shard.width.or(by_name).or(self.width).unwrap_or(by_size);
        map_shard(path, width)
    }

    /// Describes how many texts and shards there are.
    pub fn summary(&self) -> String {
        let shards = match self.shards.len() {
            1 => "1 shard".to_string(),
            several => format!("{several} shards"),
        };
        match (self.examples.kind(""), self.shards.is_empty()) {
            (Err(_), _) => shards,
            (Ok(_), true) => self.examples.summary(),
            (Ok(_), false) => format!("{}, {shards}", self.examples.summary()),
        }
    }
}

impl Shard {
    /// Creates a shard without a manifest. It is a validation shard if its name contains "val".
    fn named(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        Self { is_val: name.contains("val"), width: None, path }
    }
}

/// Maps a shard into memory. Files without a header have tokens of `width`.
///
/// # Errors
/// It cannot be read, or its length is wrong.
pub fn map_shard(path: &Path, width: TokenWidth) -> Result<Tokens> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    // SAFETY: the map is only read, as bytes, for which every value is valid. If another program shortens the shard
    // meanwhile, this one ends with a message: see `report_lost_files`.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
    parse_shard(&path.display().to_string(), Arc::new(map), width)
}

fn is_shard(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("bin" | "u16" | "u32"))
}
