//! Search for any of many texts.

/// Texts to find, each with its index into the tokens, sorted.
///
/// A search narrows the range of texts that agree with the bytes read so far, so it takes a few comparisons per byte however
/// many texts there are.
#[derive(Clone, Default)]
pub(super) struct Finder(Vec<(String, usize)>);

impl Finder {
    pub(super) fn new(texts: impl Iterator<Item = (String, usize)>) -> Self {
        let mut texts: Vec<_> = texts.filter(|(text, _)| !text.is_empty()).collect();
        texts.sort_unstable();
        Self(texts)
    }

    /// Returns true if there is nothing to find.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the longest text at the start of `rest` that is `allowed`, with its index.
    pub(super) fn longest(
        &self,
        rest: &str,
        allowed: impl Fn(usize) -> bool,
    ) -> Option<(&str, usize)> {
        let mut texts = &self.0[..];
        let mut best = None;
        for (depth, byte) in rest.bytes().enumerate() {
            let at = |text: &(String, usize)| {
                #[cfg(test)]
                tests::COMPARISONS.set(tests::COMPARISONS.get() + 1);
                text.0.as_bytes()[depth]
            };
            texts = &texts[texts.partition_point(|text| at(text) < byte)..];
            texts = &texts[..texts.partition_point(|text| at(text) == byte)];
            // Texts that end here come first, so all others have another byte.
            let ending = texts.iter().take_while(|(text, _)| text.len() == depth + 1).count();
            let (here, longer) = texts.split_at(ending);
            best = here.iter().find(|(_, index)| allowed(*index)).or(best);
            if longer.is_empty() {
                break;
            }
            texts = longer;
        }
        best.map(|(text, index)| (text.as_str(), *index))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Bytes that searches of this thread have compared.
        pub(super) static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn the_longest_allowed_text_is_found() {
        let texts = ["ab", "abc", "abcd", "b", "abc"];
        let finder =
            Finder::new(texts.iter().zip(0..).map(|(text, index)| (text.to_string(), index)));
        assert_eq!(finder.longest("abcde", |_| true), Some(("abcd", 2)));
        assert_eq!(finder.longest("abcxe", |_| true), Some(("abc", 1)));
        assert_eq!(finder.longest("abcxe", |index| index != 1), Some(("abc", 4)));
        assert_eq!(finder.longest("abcxe", |index| index == 0), Some(("ab", 0)));
        assert_eq!(finder.longest("abcd", |index| index == 3), None);
        assert_eq!(finder.longest("a", |_| true), None);
        assert_eq!(finder.longest("", |_| true), None);
        assert_eq!(Finder::default().longest("a", |_| true), None);
    }

    #[test]
    fn the_search_does_not_slow_down_with_the_number_of_texts() {
        let text = "<|extra_7|> and <|extra_77|><|extra_ ".repeat(50);
        let work = |count: usize| {
            let finder = Finder::new((0..count).map(|index| (format!("<|extra_{index}|>"), index)));
            COMPARISONS.set(0);
            let found = (0..text.len()).filter_map(|at| finder.longest(&text[at..], |_| true));
            assert_eq!(found.count(), 100);
            COMPARISONS.get()
        };
        let few = work(100);
        let many = work(100_000);
        // A thousand times as many texts double the depth of a binary search.
        assert!(many < 3 * few, "{few} comparisons for a hundred texts, {many} for 100,000");
    }
}
