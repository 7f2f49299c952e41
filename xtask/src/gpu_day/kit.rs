//! The folder that is copied to the machine with the GPU.

use crate::process::failure;
use anyhow::{Context, Result};
use flate2::Crc;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Version of the program and text in a kit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub version: String,
    /// Commit, with a mark if files had been changed since.
    pub commit: String,
    /// True if the text is tiny Shakespeare, for which nanoGPT publishes a loss.
    pub is_tiny_shakespeare: bool,
}

/// A kit: its folder and contents.
pub struct Kit {
    pub folder: PathBuf,
    pub identity: Identity,
}

/// Length and CRC-32 of char-rnn's `tinyshakespeare/input.txt`.
const TINY_SHAKESPEARE: (usize, u32) = (1_115_394, 0xdf61_3551);

/// Returns true for the text that nanoGPT's shakespeare_char trains on.
pub fn is_tiny_shakespeare(text: &[u8]) -> bool {
    let mut crc = Crc::new();
    crc.update(text);
    (text.len(), crc.sum()) == TINY_SHAKESPEARE
}

/// Paths in the kit.
pub struct Paths(pub PathBuf);

impl Paths {
    pub fn identity(&self) -> PathBuf {
        self.0.join("kit.json")
    }

    /// The benchmarks, with the program itself as a subcommand.
    pub fn program(&self) -> PathBuf {
        self.0.join("speed")
    }

    /// This program.
    pub fn runner(&self) -> PathBuf {
        self.0.join("xtask")
    }

    /// The script that runs it.
    pub fn script(&self) -> PathBuf {
        self.0.join("run.sh")
    }

    pub fn goldens(&self) -> PathBuf {
        self.0.join("golden")
    }

    pub fn text(&self) -> PathBuf {
        self.0.join("text/shakespeare.txt")
    }

    /// An excerpt of the text, for a few steps of a small model.
    pub fn excerpt(&self) -> PathBuf {
        self.0.join("text/excerpt.txt")
    }

    /// `CUDA_PATH`: the folder with `nvvm/libdevice`.
    pub fn toolkit(&self) -> PathBuf {
        self.0.join("cuda")
    }

    /// Shared libraries that another machine may lack.
    pub fn libraries(&self) -> PathBuf {
        self.0.join("lib")
    }
}

impl Kit {
    /// Opens a folder made by [`super::pack`].
    pub fn open(folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        let file = Paths(folder.clone()).identity();
        let text = fs::read_to_string(&file).with_context(|| {
            failure(
                format!("cannot read {}", file.display()),
                "name a folder that `cargo xtask gpu-day --pack` made",
            )
        })?;
        let identity = serde_json::from_str(&text)
            .with_context(|| failure(format!("{} is damaged", file.display()), "pack it again"))?;
        Ok(Self { folder, identity })
    }

    pub fn paths(&self) -> Paths {
        Paths(self.folder.clone())
    }

    pub fn golden(&self, name: &str) -> PathBuf {
        self.paths().goldens().join(name)
    }

    pub fn text(&self) -> PathBuf {
        self.paths().text()
    }

    pub fn excerpt(&self) -> PathBuf {
        self.paths().excerpt()
    }

    /// Returns a kit without files, for tests.
    #[cfg(test)]
    pub fn example() -> Self {
        let identity =
            Identity { version: "0".into(), commit: "abc".into(), is_tiny_shakespeare: true };
        Self { folder: "kit".into(), identity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_kit_is_refused() {
        let error = format!("{:#}", Kit::open(Path::new("/nowhere")).err().unwrap());
        assert!(error.contains("/nowhere/kit.json") && error.contains("--pack"), "{error}");
    }

    #[test]
    fn other_texts_are_not_tiny_shakespeare() {
        assert!(!is_tiny_shakespeare(b"First Citizen:"));
        assert!(!is_tiny_shakespeare(&vec![b'a'; TINY_SHAKESPEARE.0]));
    }
}
