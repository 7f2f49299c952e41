//! GPT-2's printable spelling of bytes: `tokenizer.json` holds tokens as text, so every byte is
//! written as one character that can be seen. Source: openai/gpt-2 `src/encoder.py`,
//! `bytes_to_unicode`.

/// Whether a byte is spelled as the character of the same code.
const fn is_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character of every byte: itself where printable, else the next free one from U+0100.
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

/// The printable spelling of some bytes.
pub(super) fn spell(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| CHAR_OF[byte as usize]).collect()
}

/// The bytes of a printable spelling, or `None` if a character stands for no byte.
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

/// The bytes that are not spelled as themselves, in order.
static OTHERS: [u8; 68] = others();

const fn others() -> [u8; 68] {
    let mut table = [0; 68];
    let (mut byte, mut next) = (0, 0);
    while byte < 256 {
        if !is_itself(byte as u8) {
            table[next] = byte as u8;
            next += 1;
        }
        byte += 1;
    }
    table
}

/// All bytes in the order of their characters: the order of GPT-2's first 256 ids, and of every
/// byte-level vocabulary that Hugging Face's trainer makes.
pub(super) fn alphabet() -> [u8; 256] {
    let mut bytes = std::array::from_fn(|i| i as u8);
    bytes.sort_by_key(|&byte| CHAR_OF[byte as usize]);
    bytes
}
