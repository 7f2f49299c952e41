//! GPT-2's spelling of bytes as printable characters, since `tokenizer.json` stores tokens as text. Source: openai/gpt-2
//! `src/encoder.py`, `bytes_to_unicode`.

/// Returns true if a byte is spelled as the character with the same code point.
const fn is_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// Character of every byte: the same code point if printable, else the next one from U+0100.
static CHAR_OF: [char; 256] = chars();

const fn chars() -> [char; 256] {
    let mut table = ['\0'; 256];
    let mut next = 0x100;
    let mut byte = 0;
    while byte < 256 {
        let code = if is_itself(byte as u8) {
            byte as u32
        } else {
            next += 1;
            next - 1
        };
        table[byte] = match char::from_u32(code) {
            Some(c) => c,
            None => '\0',
        };
        byte += 1;
    }
    table
}

/// Spells bytes as printable characters.
pub(super) fn spell(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| CHAR_OF[byte as usize]).collect()
}

/// Converts a printable spelling back to bytes; `None` if a character does not spell a byte.
pub(super) fn unspell(text: &str) -> Option<Vec<u8>> {
    text.chars().map(byte_of).collect()
}

fn byte_of(c: char) -> Option<u8> {
    let code = c as u32;
    match u8::try_from(code) {
        Ok(byte) => is_itself(byte).then_some(byte),
        Err(_) => OTHERS.get(code as usize - 0x100).copied(),
    }
}

/// Bytes that are not spelled as the same code point, in order.
static OTHERS: [u8; 68] = others();

const fn others() -> [u8; 68] {
    let mut table = [0; 68];
    let mut byte = 0;
    let mut next = 0;
    while byte < 256 {
        if !is_itself(byte as u8) {
            table[next] = byte as u8;
            next += 1;
        }
        byte += 1;
    }
    table
}

/// Returns all bytes sorted by their characters: the order of the first 256 ids of GPT-2 and of vocabularies from Hugging
/// Face's trainer.
pub(super) fn alphabet() -> [u8; 256] {
    let mut bytes = std::array::from_fn(|i| i as u8);
    bytes.sort_by_key(|&byte| CHAR_OF[byte as usize]);
    bytes
}
