//! What `--data` names: text files, folders, standard input and token shards.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use memmap2::Mmap;
use rayon::prelude::*;

use crate::config::DataKind;
use crate::data::{Corpus, TokenWidth, Tokens, generate_dataset, parse_shard};
use crate::error::{Error, Result};
use crate::tokenizer::{
    END_OF_TEXT, EncodedChat, Message, PreferencePair, Tokenizer, holds_conversations,
    holds_preferences, parse_conversations, parse_preferences, plain_text,
};

/// Public-domain plays for whoever names no data; see `assets/text/PROVENANCE.md`.
const EMBEDDED: &str = include_str!("../../assets/text/shakespeare.txt");
/// What stands before the name of a text made by rule.
const EXAMPLE: &str = "example:";
/// Special tokens that end a document, by the names in use.
const ENDS: [&str; 3] = [END_OF_TEXT, "<|end_of_text|>", "</s>"];

/// The options that name data.
#[derive(Args, Clone)]
pub struct DataArgs {
    /// Text files, folders (read recursively), - for standard input, token shards (.bin, .u16, .u32), or
    /// conversations: .jsonl files of {"messages": [{"role": "user", "content": "…"}, …]} a line, or, with --from,
    /// preference pairs: {"prompt": "…", "chosen": "…", "rejected": "…"} a line; or a text made by rule:
    /// example:stories, example:sums, example:sorting, example:reversing [default: embedded plays by Shakespeare]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Width of the tokens in headerless .bin shards [default: by the vocabulary's size]
    #[arg(long, value_parser = ["u16", "u32"])]
    pub token_width: Option<String>,
}

/// One text and where it came from.
pub struct Document {
    name: String,
    text: Cow<'static, str>,
}

/// Everything that some paths hold.
pub struct Source {
    documents: Vec<Document>,
    conversations: Vec<Vec<Message>>,
    pairs: Vec<PreferencePair>,
    shards: Vec<PathBuf>,
    width: Option<TokenWidth>,
    paths: Vec<PathBuf>,
}

impl Source {
    /// Reads texts and finds shards; the embedded text if no path is given.
    ///
    /// # Errors
    /// A path that cannot be read, is not UTF-8, or holds nothing at all.
    pub fn read(args: &DataArgs) -> Result<Self> {
        let width = args.token_width.as_deref().map(|width| match width {
            "u32" => TokenWidth::U32,
            _ => TokenWidth::U16,
        });
        let paths = args.data.clone();
        let mut source = Self {
            documents: Vec::new(),
            conversations: Vec::new(),
            pairs: Vec::new(),
            shards: Vec::new(),
            width,
            paths,
        };
        if args.data.is_empty() {
            let name = "the embedded text".into();
            source.documents.push(Document { name, text: Cow::Borrowed(EMBEDDED) });
        }
        for path in &args.data {
            source.add(path)?;
        }
        let kinds = [
            ("conversations", !source.conversations.is_empty()),
            ("preference pairs", !source.pairs.is_empty()),
            ("other text", source.text_bytes() > 0 || !source.shards.is_empty()),
        ];
        let kinds: Vec<&str> =
            kinds.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
        match kinds.len() {
            0 => Err(Error::EmptyData { what: source.describe() }),
            1 => Ok(source),
            _ => Err(Error::config(
                "--data",
                format!("{} holds {}", source.describe(), kinds.join(" and ")),
                "give one kind alone",
            )),
        }
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        if let Some(name) = path.to_str().and_then(|path| path.strip_prefix(EXAMPLE)) {
            let text = Cow::Owned(generate_dataset(name)?);
            self.documents.push(Document { name: path.display().to_string(), text });
            return Ok(());
        }
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map_err(|e| Error::io("standard input", e))?;
            return self.add_text("standard input".into(), bytes);
        }
        if path.is_dir() {
            return self.add_folder(path);
        }
        if is_shard(path) {
            self.shards.push(path.into());
            return Ok(());
        }
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        self.add_text(path.display().to_string(), bytes)
    }

    fn add_text(&mut self, name: String, bytes: Vec<u8>) -> Result<()> {
        let text = String::from_utf8(bytes).map_err(|e| Error::NotUtf8 {
            what: name.clone(),
            offset: e.utf8_error().valid_up_to(),
        })?;
        let lines = Path::new(&name).extension().is_some_and(|extension| extension == "jsonl");
        if lines && holds_conversations(&text) {
            self.conversations.extend(parse_conversations(&name, &text)?);
        } else if lines && holds_preferences(&text) {
            self.pairs.extend(parse_preferences(&name, &text)?);
        } else if !text.is_empty() {
            self.documents.push(Document { name, text: Cow::Owned(text) });
        }
        Ok(())
    }

    /// A folder of shards gives its shards alone (beside them lie the scripts that made them), any other
    /// its texts: .txt and .md files, and of the rest those that are UTF-8.
    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let mut files = Vec::new();
        list(folder, &mut files)?;
        files.sort_unstable();
        let shards: Vec<PathBuf> = files.iter().filter(|file| is_shard(file)).cloned().collect();
        if !shards.is_empty() {
            self.shards.extend(shards);
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

    /// Splits off the shards that are made for validation: those with "val" in their names, unless there
    /// are no others.
    pub fn take_validation(&mut self) -> Option<Self> {
        let is_val = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().to_lowercase().contains("val"))
        };
        let (val, train): (Vec<_>, Vec<_>) = self.shards.iter().cloned().partition(is_val);
        if val.is_empty() || (train.is_empty() && self.documents.is_empty()) {
            return None;
        }
        self.shards = train;
        let paths = val.clone();
        let (documents, conversations, pairs) = (Vec::new(), Vec::new(), Vec::new());
        Some(Self { documents, conversations, pairs, shards: val, width: self.width, paths })
    }

    /// What there is to train on.
    pub fn kind(&self) -> DataKind {
        match (self.conversations.is_empty(), self.pairs.is_empty()) {
            (_, false) => DataKind::Preferences,
            (false, true) => DataKind::Conversations,
            (true, true) => DataKind::Text,
        }
    }

    /// The texts, for training a tokenizer.
    ///
    /// # Errors
    /// Token shards among them, whose text is unknown.
    pub fn texts(&self) -> Result<impl Iterator<Item = Cow<'_, str>>> {
        match self.shards.first() {
            Some(shard) => Err(Error::config(
                "--tokenizer",
                format!("{} holds tokens, from which none can be trained", shard.display()),
                "give the tokenizer.json that the tokens were made with",
            )),
            None => {
                let texts = self.documents.iter().map(|document| Cow::Borrowed(&*document.text));
                let sides = self.pairs.iter().flat_map(|pair| {
                    let PreferencePair { prompt, chosen, rejected } = pair;
                    [prompt, chosen, rejected]
                });
                let turns = self.conversations.iter().chain(sides);
                Ok(texts.chain(turns.map(|turns| Cow::Owned(plain_text(turns)))))
            }
        }
    }

    /// Bytes of all texts.
    pub fn text_bytes(&self) -> u64 {
        self.documents.iter().map(|document| document.text.len() as u64).sum()
    }

    /// The paths as given, for messages.
    pub fn describe(&self) -> String {
        match self.paths.as_slice() {
            [] => "the embedded text".into(),
            paths => {
                paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// The tokens of everything: texts as one run, an end-of-text token between two if the tokenizer has
    /// one; each shard a run of its own; conversations one by one; preference pairs as far as they fit into windows
    /// of `seq_len`.
    ///
    /// # Errors
    /// Text that the tokenizer cannot encode; turns if it reserves no tokens for them; a shard that cannot be read;
    /// nothing at all.
    pub fn corpus(&self, tokenizer: &Tokenizer, seq_len: usize) -> Result<Corpus> {
        match self.kind() {
            DataKind::Text => self.text(tokenizer),
            DataKind::Conversations => {
                let turns =
                    self.conversations.par_iter().map(|turns| tokenizer.encode_messages(turns));
                let turns: Vec<EncodedChat> = turns.collect::<Result<_>>()?;
                Ok(Corpus::conversations(turns.into_iter().map(EncodedChat::into_parts)))
            }
            DataKind::Preferences => {
                let pairs = self.pairs.par_iter().map(|pair| tokenizer.encode_pair(pair));
                let pairs: Vec<[EncodedChat; 2]> = pairs.collect::<Result<_>>()?;
                Corpus::pairs(
                    pairs.into_iter().map(|pair| pair.map(EncodedChat::into_parts)),
                    seq_len,
                )
            }
        }
    }

    fn text(&self, tokenizer: &Tokenizer) -> Result<Corpus> {
        let encoded: Vec<Vec<u32>> = self
            .documents
            .par_iter()
            .map(|document| tokenizer.encode(&document.text))
            .collect::<Result<_>>()?;
        let mut corpus = Corpus::default();
        if !encoded.is_empty() {
            let between = end_of_text(tokenizer);
            let mut ids = Vec::with_capacity(encoded.iter().map(|ids| ids.len() + 1).sum());
            for (index, document) in encoded.into_iter().enumerate() {
                ids.extend(between.filter(|_| index > 0));
                ids.extend(document);
            }
            corpus.segments.push(Tokens::from_ids(ids));
        }
        for path in &self.shards {
            corpus.segments.push(self.open_shard(path, tokenizer)?);
        }
        if corpus.is_empty() {
            return Err(Error::EmptyData { what: self.describe() });
        }
        Ok(corpus)
    }

    fn open_shard(&self, path: &Path, tokenizer: &Tokenizer) -> Result<Tokens> {
        let by_size = match tokenizer.vocab_size() > 1 << 16 {
            true => TokenWidth::U32,
            false => TokenWidth::U16,
        };
        let width = match path.extension().and_then(|extension| extension.to_str()) {
            Some("u16") => TokenWidth::U16,
            Some("u32") => TokenWidth::U32,
            _ => self.width.unwrap_or(by_size),
        };
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        // SAFETY: the map is read only, and as bytes, for which every content is valid. A shard that
        // another program shortens meanwhile ends this one with SIGBUS, as with any mapped file.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
        parse_shard(&path.display().to_string(), Arc::new(map), width)
    }

    /// How many texts and shards there are, for people.
    pub fn summary(&self) -> String {
        match (self.documents.as_slice(), self.shards.len()) {
            ([], 0) if !self.pairs.is_empty() => format!("{} preference pairs", self.pairs.len()),
            ([], 0) => format!("{} conversations", self.conversations.len()),
            ([one], 0) => one.name.clone(),
            (texts, 0) => format!("{} texts", texts.len()),
            ([], shards) => format!("{shards} shards"),
            (texts, shards) => format!("{} texts, {shards} shards", texts.len()),
        }
    }
}

/// The special token that ends a document, if the tokenizer has one.
pub fn end_of_text(tokenizer: &Tokenizer) -> Option<u32> {
    let named = |name: &&str| tokenizer.special_tokens().find(|(token, _)| token == name);
    ENDS.iter().find_map(named).map(|(_, id)| id).or(tokenizer.eos())
}

fn is_shard(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("bin" | "u16" | "u32"))
}

/// All files below a folder but hidden ones.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Links to folders are not followed: they may lead back up.
        match entry.file_type().map_err(|e| Error::io(&path, e))? {
            kind if kind.is_dir() => list(&path, files)?,
            _ if path.is_file() => files.push(path),
            _ => {}
        }
    }
    Ok(())
}
